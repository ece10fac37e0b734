"""No answer tells where the service keeps its things, where its models are, or how their keys are
called.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import write_settings
from cluster.service.backends.replay import ReplayBackend
from cluster.service.core.backend import Principal
from cluster.service.core.settings import ServiceSettings
from cluster.service.http.path_redaction import PathRedaction, replacement_by_path
from cluster.service.read_models.settings import shown_settings
from cluster.service.schemas import Event, Optimization
from cluster.service.show import shown_app
from optimizer.errors import DataError, PromptrayError, StorageError
from serving.storage import open_folder
from tests.unit.cluster.service.http.conftest import Client, OpenService, Small

ENDPOINT = {
    "kind": "openai",
    "model": "m",
    "base_url": "http://10.1.2.3/v1",
    "api_key_env": "INNER_KEY",
    "api_key_file": "/run/secrets/key",
}


class Broken(ReplayBackend):
    """Whatever is asked for fails in the storage, and a job's events quote it."""

    problem: PromptrayError
    place: str

    async def get(self, principal: Principal, id: str) -> Optimization:
        if id == "opt-broken":
            raise self.problem
        return await super().get(principal, id)

    async def events(self, principal: Principal, id: str, after: int, limit: int) -> list[Event]:
        events = await super().events(principal, id, after, limit)
        return [
            event.model_copy(update={"message": f"{self.place}/optimizations/x/ledger is damaged."})
            for event in events
        ]

    async def follow(self, principal: Principal, id: str, after: int) -> AsyncIterator[Event]:
        async for event in super().follow(principal, id, after):
            yield event.model_copy(
                update={"message": f"{self.place}/optimizations/x/ledger is damaged."}
            )


@pytest.mark.parametrize("kind", [StorageError, DataError])
@pytest.mark.parametrize("folder", ["stored", "größe and 'more'"])
async def test_an_error_and_an_event_tell_a_place_within_the_storage_alone(
    open_service: OpenService, small: Small, tmp_path: Path, kind: type[PromptrayError], folder: str
) -> None:
    backend = Broken([small.out], 0.01)
    backend.place = str(tmp_path / folder)
    backend.problem = kind(
        f"{backend.place}/optimizations/opt-1/state.json is not JSON; nor is {backend.place}."
    )
    service = open_service(backend=backend, settings=ServiceSettings(storage=backend.place))
    answer = await service.get("/v1/optimizations/opt-broken")
    assert (
        answer.json()["error"]["message"]
        == "optimizations/opt-1/state.json is not JSON; nor is the storage."
    )
    assert int(answer.headers["content-length"]) == len(answer.content)
    id = await service.shown()
    for stream in (False, True):
        told = await service.get(f"/v1/optimizations/{id}/events", stream=stream)
        assert "optimizations/x/ledger is damaged." in told.text
        assert json.dumps(backend.place)[1:-1] not in told.text


def test_files_of_the_operator_are_told_by_their_names() -> None:
    settings = ServiceSettings(
        storage="s3://bucket/x?endpoint_override=http://10.0.0.1",
        models=["builtin:target", ENDPOINT],
    )
    discreet = PathRedaction(shown_app.__call__, replacement_by_path(settings))  # type: ignore[arg-type]
    said = (
        "The key file /run/secrets/key cannot be read; nor can "
        "s3://bucket/x/files/a?endpoint_override=http://10.0.0.1."
    )
    assert discreet.redacted(said.encode()) == b"The key file key cannot be read; nor can files/a."


def experiment(tmp_path: Path) -> ExperimentSettings:
    data = tmp_path / "files" / "file-0123456789abcdef012345" / "data.jsonl"
    return ExperimentSettings.model_validate(
        {
            "tasks": [{"source": str(data), "label": "mine"}, "navigate"],
            "target": ENDPOINT,
            "optimizer": ENDPOINT,
            "models": {"openai:m": ENDPOINT},
            "strategies": ["apo"],
            "out": str(tmp_path / "out"),
            "search": {"searcher": "grid", "space": {"optimizer": ["openai:m"]}},
        }
    )


def test_settings_are_shown_with_labels_and_ids(tmp_path: Path) -> None:
    shown = shown_settings(experiment(tmp_path))
    assert [task["source"] for task in shown["tasks"]] == [
        "file-0123456789abcdef012345",
        "navigate",
    ]
    assert (shown["target"], shown["optimizer"], shown["search"]["space"]) == (
        "openai:m",
        "openai:m",
        {"optimizer": ["openai:m"]},
    )
    text = yaml.safe_dump(shown)
    for secret in ("10.1.2.3", "INNER_KEY", "/run/secrets", str(tmp_path)):
        assert secret not in text


async def test_the_settings_of_a_job_are_taken_away_without_its_places(
    open_service: OpenService, small: Small, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "trials").mkdir(parents=True)
    write_settings(experiment(tmp_path), open_folder(out))
    service: Client = open_service(backend=ReplayBackend([small.out, out], 0.01))
    jobs: list[Any] = (await service.json("/v1/optimizations"))["data"]
    (id,) = [job["id"] for job in jobs if job["name"] == "experiment"]
    answer: httpx2.Response = await service.get(f"/v1/optimizations/{id}/files/settings.yaml")
    assert answer.status_code == 200
    for secret in ("10.1.2.3", "INNER_KEY", "/run/secrets", str(tmp_path)):
        assert secret not in answer.text
