"""Secrets in cluster/deploy: named where they are needed, given nowhere.

Offline; the planted ones here are made up.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.manifests.project_files import DEPLOY, of_deploy


def test_secrets_are_named_and_never_given() -> None:
    for secret in of_deploy("secrets.example.yaml"):
        assert not secret.keys() & {"data", "stringData"}
    named = {secret["metadata"]["name"] for secret in of_deploy("secrets.example.yaml")}
    assert set(references(of_deploy("rayservice.yaml") + of_deploy("rayjob.yaml"))) == named


@pytest.mark.parametrize(
    "file", sorted(file for file in DEPLOY.iterdir() if file.is_file()), ids=lambda file: file.name
)
def test_no_file_holds_what_looks_like_a_secret(file: Path) -> None:
    assert not list(secrets_in(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "text",
    [
        "api_key: sk-" + "a1B2" * 8,
        "value: hf_" + "Ab3d" * 8,
        "AWS_ACCESS_KEY_ID=AKIA" + "A1B2" * 4,
        "token: " + "0f1e2d3c" * 5,
        "password: correct-horse",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_secret_would_be_seen(text: str) -> None:
    assert list(secrets_in(text))


class Kubectl:
    """What kubectl does to the values of secrets: `apply` takes away what the last `apply` gave and
    this one does not.
    """

    def __init__(self) -> None:
        self.values: dict[str, set[str]] = {}
        self._applied: dict[str, set[str]] = {}

    def run(self, command: str) -> None:
        words = command.split()
        if words[1:4] == ["create", "secret", "generic"]:
            given = {
                words[4]: {
                    word.partition("=")[2] for word in words if word.startswith("--from-file=")
                }
            }
            end = command.rpartition("|")[2].split()
            if "--dry-run=client" not in words:
                assert words[4] not in self.values, "exists already"
                self.values |= given
            elif end[:2] == ["kubectl", "replace"]:
                self.values |= given
            else:
                self._apply(given)
        elif words[1] == "apply":
            files = [Path(word).name for flag, word in pairwise(words) if flag == "-f"]
            for manifest in (manifest for file in files for manifest in of_deploy(file)):
                if manifest["kind"] == "Secret":
                    self._apply({manifest["metadata"]["name"]: set(manifest.get("data", {}))})

    def _apply(self, given: dict[str, set[str]]) -> None:
        for name, keys in given.items():
            self.values[name] = (
                self.values.get(name, set()) - self._applied.get(name, set())
            ) | keys
            self._applied[name] = keys


def commands(text: str) -> list[str]:
    """Every command of kubectl in a README or a comment that makes or applies something."""
    return [
        found[0].strip()
        for found in re.finditer(r"kubectl (create|apply|replace)\b[^#`\n]*", text)
        if found[0].split()[2:]
    ]


def test_what_is_documented_never_takes_a_value_out_of_a_secret() -> None:
    texts = {
        file.name: file.read_text(encoding="utf-8") for file in DEPLOY.iterdir() if file.is_file()
    }
    kubectl = Kubectl()
    for command in commands(texts["secrets.example.yaml"]):
        kubectl.run(command)
    named = {secret["metadata"]["name"] for secret in of_deploy("secrets.example.yaml")}
    filled = {name: set(keys) for name, keys in kubectl.values.items()}
    assert filled.keys() == named
    assert all(filled.values())
    documented = [command for text in texts.values() for command in commands(text)]
    again = [
        command
        for command in documented
        if not command.startswith("kubectl create") or "--dry-run" in command
    ]
    assert len(again) > 4
    for command in [*again, "kubectl apply -f cluster/deploy/secrets.example.yaml", *again]:
        kubectl.run(command)
        assert kubectl.values == filled, command


def secrets_in(text: str) -> Iterator[str]:
    """Known forms of keys, long random texts, and values of what is called a password."""
    forms = r"sk-[\w-]{16,}|hf_\w{16,}|AKIA\w{12,}|ghp_\w{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    yield from re.findall(forms, text)
    random = re.findall(r"[A-Za-z0-9+/]{32,}={0,2}", text)
    yield from (word for word in random if re.search(r"\d", word) and re.search("[A-Za-z]", word))
    yield from re.findall(
        r"(?:password|auth_token|api[-_]key|token):[ \t]+(?![{\"&*/~])[^\s,}#]{6,}", text, re.I
    )


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
