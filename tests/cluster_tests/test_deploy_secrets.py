"""Secrets in cluster/deploy: named where they are needed, given nowhere. Offline; the planted ones here are made up."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.manifests.project_files import DEPLOY, of_deploy


def test_secrets_are_named_and_never_given() -> None:
    for secret in of_deploy("secrets.example.yaml"):
        assert not secret.keys() & {"data", "stringData"}
    named = {secret["metadata"]["name"] for secret in of_deploy("secrets.example.yaml")}
    assert set(references(of_deploy("rayservice.yaml") + of_deploy("rayjob.yaml"))) == named


@pytest.mark.parametrize("file", sorted(file for file in DEPLOY.iterdir() if file.is_file()), ids=lambda file: file.name)
def test_no_file_holds_what_looks_like_a_secret(file: Path) -> None:
    assert not list(secrets_in(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("text", [
    "api_key: sk-" + "a1B2" * 8, "value: hf_" + "Ab3d" * 8, "AWS_ACCESS_KEY_ID=AKIA" + "A1B2" * 4, "token: " + "0f1e2d3c" * 5,
    "password: correct-horse", "-----BEGIN PRIVATE KEY-----"])
def test_a_secret_would_be_seen(text: str) -> None:
    assert list(secrets_in(text))


def secrets_in(text: str) -> Iterator[str]:
    """Known forms of keys, long random texts, and values of what is called a password."""
    forms = r"sk-[\w-]{16,}|hf_\w{16,}|AKIA\w{12,}|ghp_\w{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    yield from re.findall(forms, text)
    random = re.findall(r"[A-Za-z0-9+/]{32,}={0,2}", text)
    yield from (word for word in random if re.search(r"\d", word) and re.search("[A-Za-z]", word))
    yield from re.findall(r"(?:password|auth_token|api[-_]key|token):[ \t]+(?![{\"&*/~])[^\s,}#]{6,}", text, re.I)


def references(value: Any) -> Iterator[str]:
    """The names of all secrets that a document refers to."""
    if isinstance(value, dict):
        if "secretKeyRef" in value:
            yield value["secretKeyRef"]["name"]
        if isinstance(value.get("secretName"), str):
            yield value["secretName"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
