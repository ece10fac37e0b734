"""No request makes the service open, import, resolve or call what the request names: a walk over
the whole schema of a request, with hostile values of every kind in every place that bears a text,
through the real application and the backend that runs jobs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cluster.experiment.prepare import prepare
from cluster.service.backends import ray
from cluster.service.backends.ray import RayBackend
from cluster.service.core.errors import Conflict
from cluster.service.core.job_record import Filed, State
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import experiment_settings
from cluster.service.schemas import EvaluationRequest, OptimizationRequest
from cluster.service.show import shown_app
from cluster.service.stores.job_store import Store
from optimizer.errors import SettingsError
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from serving.settings import BUILTIN_MODELS, OpenAISettings, ScriptedSettings, VLLMSettings
from serving.storage import open_folder
from serving.storage.local import LocalFolder
from tests.contracts.canaries import SECRET, Canaries, planted, watching
from tests.contracts.schema_places import Place, places

SMALL: dict[str, Any] = {
    "tasks": [{"generated": "coin_flip"}],
    "strategies": ["apo"],
    "sizes": {"train": 2, "dev": 2, "test": 2},
    "budget": {"target_calls": 100, "optimizer_calls": 10},
}
REQUIRED: dict[str, dict[str, Any]] = {
    "OptimizationRequest": SMALL,
    "TaskRequest": {"generated": "coin_flip"},
    "StrategyRequest": {"name": "apo"},
    "StrategySpec": {"name": "apo"},
}
EVALUATION: dict[str, Any] = {"prompts": [{"text": "Add."}], "file": "file-1"}
ROUTES = (
    "/v1/optimizations",
    "/v1/optimizations/estimate",
    "/v1/optimizations/estimate?probe=true",
)
NOTHING_RUNS = "Nothing is run here."
MODEL_KINDS = (OpenAISettings, ScriptedSettings, VLLMSettings, *BUILTIN_MODELS.values())


class JobBackend(RayBackend):
    """As the service's own, up to the controller: what it lets through is not run."""

    async def _call(self, method: Callable[[Any], Awaitable[Any]], within_s: float = 0.0) -> Any:
        raise Conflict(NOTHING_RUNS)

    async def spend(self, act: Any, owner: str, *given: Any) -> Any:
        """Nobody keeps the owners' budgets here."""


class Probes:
    """In the place of Ray's processes: all that a probe does before it hosts models."""

    def __init__(self, service: ServiceSettings) -> None:
        self._service = service

    async def run(self, owner: str, request: OptimizationRequest, share: Any = None) -> Any:
        service = self._service
        await asyncio.to_thread(
            lambda: prepare(
                experiment_settings(request, service, Store(service.storage).estimate("probed"))
            )
        )
        raise Conflict(NOTHING_RUNS)


class Checks:
    """In the place of the processes for checks, so that what they do is seen."""

    async def run(self, owner: str, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.to_thread(work, *given)


@pytest.fixture
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    with planted(tmp_path / "planted", monkeypatch) as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(storage=str(tmp_path / "stored"))


@pytest.fixture
async def service(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    monkeypatch.setattr(ray, "Probes", Probes)
    app = shown_app(JobBackend(settings, checks=Checks()), open_folder(settings.storage), settings)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1"
    ) as client:
        yield client


def searched(space: dict[str, Any]) -> dict[str, Any]:
    return SMALL | {"search": {"searcher": "random", "trials": 1, "space": space}}


def spaces(canaries: Canaries) -> Iterator[dict[str, Any]]:
    """Every key that a search space may have, and some that it may not, with every hostile text;
    and every setting of every kind of
    model for models that the request names itself."""
    hostile = canaries.hostile()
    texts = [value for value in hostile if isinstance(value, str)]
    settings = {name for kind in MODEL_KINDS for name in kind.model_fields}
    parts = {
        name
        for table in (STRATEGIES, SELECTION_RULES)
        for kind in table.values()
        for name in kind.__dataclass_fields__
    }
    keys = {
        "target",
        "optimizer",
        "selection",
        "strategy",
        "models",
        "optimizer.x",
        *(f"target.{name}" for name in settings),
    }
    keys |= {
        f"{owner}.{name}"
        for owner in ("strategy", "selection", "apo", "sampling")
        for name in parts
    }
    for key in sorted(keys):
        yield {key: texts}
    yield from (
        {key: {"choice": texts[:1]}}
        for key in ("optimizer", "optimizer.base_url", "selection", "strategy.beam")
    )
    for text in texts:
        yield {"optimizer": [text]}
        yield {"optimizer": ["builtin:optimizer", text]}
    for name in sorted(settings):
        yield {f"optimizer.{name}": texts}
        for base in (
            f"openai:x@{canaries.url}",
            f"scripted:{canaries.script}",
            "builtin:optimizer",
        ):
            yield {
                "optimizer": [base],
                f"optimizer.{name}": [canaries.url, str(canaries.log), canaries.variable],
            }


def requests(canaries: Canaries) -> Iterator[tuple[str, Any]]:
    """Place -> request. The schema is today's: a field that is new tomorrow is walked, too."""
    walked = places(OptimizationRequest.model_json_schema(), REQUIRED)
    assert len(walked) > 30
    assert {
        ".target",
        ".optimizer",
        ".metadata{key}",
        ".tasks[].file",
        ".search.searcher.name",
    } <= {place.name for place in walked}
    for place in walked:
        yield from (
            (place.name, _without_two_sources(place.make(value)))
            for value in fitting(place, canaries)
        )
    yield from ((f"search.space {space.keys()}", searched(space)) for space in spaces(canaries))


def _without_two_sources(request: dict[str, Any]) -> dict[str, Any]:
    """A task is of one source: the walk puts a file beside what every task has."""
    tasks = request["tasks"] if isinstance(request["tasks"], list) else []
    return request | {
        "tasks": [
            {key: task[key] for key in task if key != "generated" or "file" not in task}
            for task in tasks
        ]
    }


def fitting(place: Place, canaries: Canaries) -> list[Any]:
    return [value for value in canaries.hostile() if isinstance(value, str) or not place.is_key]


@pytest.mark.slow
async def test_nothing_that_a_request_names_is_opened_imported_resolved_or_called(
    service: httpx2.AsyncClient,
    canaries: Canaries,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [(await service.post(route, json=SMALL)).status_code for route in ROUTES] == [
        409,
        200,
        409,
    ], "the walk reaches its end"
    found: dict[str, list[str]] = {}
    statuses: set[int] = set()
    only_words: set[str] = set()
    """SlotLimit whose hostile texts are taken for what they are: one of them goes through all routes,
    the others are created alone.
    """
    with watching(monkeypatch) as watch:
        for place, request in requests(canaries):
            for route in ROUTES if place not in only_words else ROUTES[:1]:
                answer = await canaries.released(service.post(route, json=request))
                statuses.add(answer.status_code)
                if (route, answer.status_code) == (ROUTES[-1], 409):
                    only_words.add(place)
                if what := [*watch.taken(), *canaries.taken(), *told(answer, settings)]:
                    found.setdefault(f"{route} {place}", []).extend(what)
    assert found == {}
    assert not canaries.log.exists()
    assert {400, 404, 409} <= statuses, "some are refused, and some hold only words"


@pytest.mark.slow
async def test_nothing_that_an_evaluation_names_is_opened_imported_resolved_or_called(
    service: httpx2.AsyncClient,
    canaries: Canaries,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload = Path(settings.storage) / "files" / "file-1"
    upload.mkdir(parents=True)
    (upload / "file.json").write_text(json.dumps({"owner": "local", "filename": "sums.jsonl"}))
    (upload / "data.jsonl").write_text('{"input": "1 + 1?", "target": "2"}\n')
    route = "/v1/evaluations"
    assert (await service.post(route, json=EVALUATION)).text.count(NOTHING_RUNS), "to its end"
    walked = places(
        EvaluationRequest.model_json_schema(),
        REQUIRED | {"EvaluationRequest": EVALUATION, "PromptRequest": {"text": "Add."}},
    )
    assert {
        ".file",
        ".target",
        ".grader",
        ".prompts[].job",
        ".prompts[].text",
        ".columns.input",
        ".metadata{key}",
    } <= {place.name for place in walked}
    found: dict[str, list[str]] = {}
    statuses: set[int] = set()
    with watching(monkeypatch) as watch:
        for place in walked:
            for value in fitting(place, canaries):
                answer = await canaries.released(service.post(route, json=place.make(value)))
                statuses.add(answer.status_code)
                if what := [*watch.taken(), *canaries.taken(), *told(answer, settings)]:
                    found.setdefault(place.name, []).extend(what)
    assert found == {}
    assert not canaries.log.exists()
    assert {400, 404, 409} <= statuses, "some are refused, and some hold only words"


def told(answer: httpx2.Response, settings: ServiceSettings) -> list[str]:
    """What an answer says that it must not."""
    secrets = [
        name
        for name, text in (("a secret", SECRET), ("the storage", settings.storage))
        if text in answer.text
    ]
    return [f"tells {name}" for name in secrets] + (
        [answer.text[:300]] if answer.status_code >= 500 else []
    )


@pytest.mark.parametrize(
    "space",
    [
        {"optimizer": ["scripted:{script}"]},
        {"optimizer": ["scripted:{script}"], "optimizer.log": ["{log}"]},
        {"optimizer": ["openai:x@{url}"], "optimizer.api_key_env": ["{variable}"]},
    ],
)
async def test_an_old_job_that_names_models_is_neither_run_again_nor_shown_by_opening_them(
    service: httpx2.AsyncClient,
    canaries: Canaries,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
    space: dict[str, Any],
) -> None:
    """As an earlier version filed it and wrote its settings, which names what it should not."""
    given = json.loads(
        json.dumps(space)
        .replace("{script}", str(canaries.script))
        .replace("{log}", str(canaries.log))
        .replace("{url}", canaries.url)
        .replace("{variable}", canaries.variable)
    )
    request = searched(given)
    store, id = Store(settings.storage), "opt-0123456789abcdef01234567"
    store.file_request(
        Filed.from_json(
            {
                "id": id,
                "number": 1,
                "owner": "local",
                "created_at": 1,
                "request": request,
                "idempotency_key": None,
            }
        )
    )
    store.save_state(id, State(status="failed", last_event=1).to_json())
    results = request | {
        "tasks": ["coin_flip"],
        "target": "builtin:target",
        "optimizer": "builtin:optimizer",
    }
    store.results(id).write("settings.yaml", json.dumps(results).encode())
    paths = ("trials", "candidates", "best", "files/settings.yaml")
    with watching(monkeypatch) as watch:
        answers = [await service.post(f"/v1/optimizations/{id}/resume")]
        with pytest.raises(SettingsError, match=r"search\.space"):
            experiment_settings(store.filed(id).request, settings, store.results(id))
    assert (answers[0].status_code, "search.space" in answers[0].text) == (400, True), answers[
        0
    ].text
    with watching(monkeypatch) as seen:
        answers = [await service.get(f"/v1/optimizations/{id}/{path}") for path in paths]
    assert {answer.status_code for answer in answers} <= {400, 409}
    assert (seen.taken(), canaries.taken()) == ([], [])
    assert (watch.taken(), canaries.taken()) == ([], [])
    assert not canaries.log.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"metadata":' * 50_000,
        b'{"tasks":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"seeds":[' + b"9" * 5000 + b"]}",
        b'{"name":"\\ud800","tasks":[{"generated":"coin_flip"}],"strategies":["apo"]}',
        b'{"concurrency":NaN}',
        b'{"seeds":[' + b"1," * 900_000 + b"1]}",
    ],
)
@pytest.mark.parametrize("route", ROUTES)
async def test_a_body_that_is_deep_long_or_odd_is_a_bad_request(
    service: httpx2.AsyncClient, route: str, body: bytes
) -> None:
    answer = await service.post(route, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert len(answer.content) < 3_000


@pytest.mark.parametrize(
    "id",
    [
        "opt-" + "a" * 300,
        "opt-٣",
        "opt-..",
        "opt-a%00",
        "..",
        "%2e%2e%2fkeys",
        "opt-a%2f..%2f..%2fkeys.json",
        "~root",
    ],
)
async def test_an_id_is_no_path(
    service: httpx2.AsyncClient, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch, id: str
) -> None:
    looked: list[str] = []
    exists = LocalFolder.exists

    def noting(folder: LocalFolder, name: str) -> bool:
        looked.append(f"{folder}/{name}")
        return exists(folder, name)

    for path in (
        "/v1/optimizations/{}",
        "/v1/optimizations/{}/events",
        "/v1/optimizations/{}/files/settings.yaml",
        "/v1/files/{}",
    ):
        monkeypatch.setattr(LocalFolder, "exists", noting)
        answer = await service.get(path.format(id))
        monkeypatch.setattr(LocalFolder, "exists", exists)
        assert answer.status_code in (400, 404), answer.text
        assert settings.storage not in answer.text
    assert [place for place in looked if "/optimizations/" in place or "/files/" in place] == []
