"""A real results folder, made by two small searches of the built-in models in this process, and
services over it.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of
from cluster.experiment.prepare import check, write_settings
from cluster.results import write_results, write_trial
from cluster.service.access.api_keys import Authenticator
from cluster.service.access.key_store import add_key
from cluster.service.backends.replay import ReplayBackend
from cluster.service.core.backend import JobBackend
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.http.app import service_app
from cluster.service.http.deps import Service
from cluster.service.show import shown_app
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.data_files import FileStore
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.ledger.store import Ledger
from serving.models import open_in_process
from serving.storage import open_folder
from tests.contracts.http_server import LOOK_EVERY_S, PromptServer

SETTINGS = {
    "name": "small",
    "tasks": ["navigate"],
    "sizes": {"train": 8, "dev": 6, "test": 8},
    "strategies": [
        {"name": "apo", "settings": {"rounds": 2, "minibatch": 4, "beam": 1, "max_children": 2}},
        {
            "name": "abo",
            "settings": {"rounds": 2, "decompositions": 1, "minibatch": 4, "children": 2},
        },
    ],
    "budget": {"target_calls": 150, "optimizer_calls": 80},
}
EVERY_S = 0.02
"""Between two events of a played job."""


async def run_small(out: Path) -> list[TrialResult]:
    """The experiment, as `promptray run` leaves its folder."""
    settings = ExperimentSettings.model_validate(SETTINGS | {"out": str(out)})
    trial_specs, tasks, recorded = check(settings)
    results = []
    with Ledger(out / "ledger") as record:
        ledger = LedgerCoordinator(record)
        models = [
            CachedModel(open_in_process(model), ledger)
            for model in (settings.target_model, settings.optimizer_model)
        ]
        for trial_spec in trial_specs:
            plan = plan_of(settings, trial_spec)
            result = await Trial(plan, tasks[plan.task, plan.seed], *models).run()
            write_trial(out, result)
            results.append(result)
    settings = settings.model_copy(update={"recorded": recorded})
    write_settings(settings, open_folder(out))
    write_results(out, results, settings.model_dump(mode="json"))
    return results


@dataclass(frozen=True)
class Small:
    """A finished experiment."""

    out: Path
    results: list[TrialResult]

    @property
    def abo(self) -> TrialResult:
        return next(result for result in self.results if result.strategy == "abo")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    out = tmp_path_factory.mktemp("small") / "out"
    return Small(out, asyncio.run(run_small(out)))


@dataclass(frozen=True)
class Client:
    """HTTP to an application in this process, as one owner."""

    http: httpx2.AsyncClient
    storage: Path
    backend: JobBackend

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.http.get(path, params=params or None)

    async def json(self, path: str, **params: Any) -> Any:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **how: Any) -> httpx2.Response:
        return await self.http.post(path, json=body, **how)

    async def upload(self, name: str, content: bytes) -> httpx2.Response:
        return await self.http.post("/v1/files", files={"file": (name, content)})

    async def shown(self) -> str:
        """The id of the job that the folder is."""
        jobs = (await self.json("/v1/optimizations", limit=100))["data"]
        return str(jobs[-1]["id"])

    async def until(self, id: str, *statuses: str) -> Any:
        for _ in range(500):
            job = await self.json(f"/v1/optimizations/{id}")
            if job["status"] in statuses:
                return job
            await asyncio.sleep(0.01)
        raise AssertionError(f"the job is {job['status']}")


def played(
    small: Small, storage: Path, every_s: float = EVERY_S, heartbeat_s: float = 15.0
) -> FastAPI:
    """An application of its own, for a server's thread."""
    place = open_folder(storage)
    ring, backend = Authenticator(place), ReplayBackend([small.out], every_s)
    return service_app(
        Service(
            backend,
            FileStore(place),
            Audit(place),
            ServiceSettings(),
            ring.quota,
            heartbeat_s=heartbeat_s,
        ),
        ring,
    )


OpenService = Callable[..., Client]
REQUEST = {"tasks": [{"generated": "navigate"}], "strategies": ["apo"]}


@pytest.fixture
async def open_service(small: Small, tmp_path: Path) -> AsyncIterator[OpenService]:
    """Services over the small results, in this process; a `key` of an application that was opened
    before makes another caller.
    """
    clients: list[httpx2.AsyncClient] = []
    made: list[tuple[FastAPI, JobBackend]] = []

    def start(
        key: str | None = None,
        *,
        again: bool = False,
        settings: ServiceSettings | None = None,
        **how: Any,
    ) -> Client:
        if not again:
            backend = how.pop("backend", None) or ReplayBackend([small.out], EVERY_S, **how)
            made.append((shown_app(backend, open_folder(tmp_path / "storage"), settings), backend))
        app, backend = made[-1]
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        clients.append(
            httpx2.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8000", headers=headers
            )
        )
        return Client(clients[-1], tmp_path / "storage", backend)

    yield start
    for client in clients:
        await client.aclose()
    for _, backend in made:
        if isinstance(backend, ReplayBackend):
            await backend.close()


@pytest.fixture
def service(open_service: OpenService) -> Client:
    """A service without keys."""
    return open_service()


@dataclass(frozen=True)
class Owners:
    """A service with keys, seen by its owners."""

    ann: Client
    bob: Client
    admin: Client
    nobody: Client


@pytest.fixture
def owners(open_service: OpenService, tmp_path: Path) -> Owners:
    storage = open_folder(tmp_path / "storage")
    keys = {
        name: add_key(
            storage,
            name,
            admin=name == "root",
            quota=QuotaSettings(jobs_at_once=2) if name == "ann" else None,
        )[1]
        for name in ("ann", "bob", "root")
    }
    first = open_service(keys["ann"])
    return Owners(
        first,
        open_service(keys["bob"], again=True),
        open_service(keys["root"], again=True),
        open_service(again=True),
    )


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of a real server, in a thread of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        config = uvicorn.Config(
            app,
            log_level="error",
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
            backlog=2048,
        )
        server = PromptServer(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(LOOK_EVERY_S)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        thread.join(10)
