"""One damaged file of one job: the service opens, says what is damaged to whom it belongs, and goes
on with all others. No Ray.
"""

import asyncio
import inspect
import json
import random
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from cluster.service.access.api_keys import Authenticator
from cluster.service.access.key_store import add_key
from cluster.service.access.quotas import day_of
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.backends.ray import RayBackend
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Conflict, Damaged, NotFound
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.http.app import service_app
from cluster.service.http.deps import Service
from cluster.service.jobs import controller as controller_module
from cluster.service.jobs.controller import JobController
from cluster.service.schemas import Optimization
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.data_files import FileStore
from cluster.service.stores.file_inspection import FileSummary
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, StorageError
from serving.runtime.supervision import LASTING, Backoff
from serving.storage import open_folder
from serving.storage.journal import Journal
from serving.storage.local import LocalFolder
from tests.unit.cluster.service.http.conftest import Small, small
from tests.unit.cluster.service.running_controller import (
    FREE,
    WorkerPool,
    filed,
    kinds,
    one_trial,
    over,
    running_controller,
    until,
    until_stopped,
)

__all__ = ["small"]
ANN = Principal("ann")


async def finished(place: Path, *ids: str) -> None:
    """A storage in which these jobs of Ann have succeeded."""
    async with running_controller(place, one_trial) as (controller, _):
        for id in ids:
            await controller.create(filed(id), FREE)
            await over(controller, id)
        await until(lambda: all(Store(str(place)).state(id).status == "succeeded" for id in ids))


def spoilt(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


def as_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "half": lambda path: path.write_bytes(path.read_bytes()[:40]) and None,
    "empty": spoilt(""),
    "list": spoilt("[1]"),
    "other": spoilt('{"id": 3}'),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe{") and None,
    "deep": spoilt("[" * 100_000),
    "folder": as_a_folder,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["request.json", "state.json"])
async def test_a_damaged_job_is_set_aside_and_all_others_go_on(
    tmp_path: Path, name: str, damage: str
) -> None:
    await finished(tmp_path, "opt-1", "opt-2", "opt-3")
    DAMAGES[damage](tmp_path / "optimizations" / "opt-2" / name)
    async with running_controller(tmp_path, one_trial) as (controller, _):
        jobs = {job.id: job for job in controller.jobs()}
        assert list(jobs) == ["opt-3", "opt-2", "opt-1"]
        assert [jobs[id].status for id in ("opt-1", "opt-3")] == ["succeeded"] * 2
        if (name, damage) == ("state.json", "gone"):
            await over(
                controller, "opt-2"
            )  # as one of which nothing is known but its request: it goes by replay
            return
        error = jobs["opt-2"].error
        assert error is not None
        assert (jobs["opt-2"].status, jobs["opt-2"].owner, error.code) == (
            "failed",
            "ann",
            "damaged",
        )
        assert f"optimizations/opt-2/{name}" in error.message
        assert str(tmp_path) not in error.message
        Optimization.model_validate_json(jobs["opt-2"].model_dump_json())
        assert controller.get("opt-2") == jobs["opt-2"]
        for ask in (controller.cancel("opt-2"), controller.resume("opt-2", FREE)):
            with pytest.raises(Conflict, match="damaged"):
                await ask
        assert any("opt-2 of ann" in note for note in controller.job_table.notes)
        await controller.create(filed("opt-4"), FREE)
        await over(controller, "opt-4")


async def test_any_changed_byte_of_a_job_s_files_leaves_the_others_as_they_are(
    tmp_path: Path,
) -> None:
    await finished(tmp_path, "opt-1", "opt-2")
    rng = random.Random(17)
    for _ in range(25):
        path = (
            tmp_path
            / "optimizations"
            / "opt-1"
            / rng.choice(["request.json", "state.json", "events/000000.jsonl"])
        )
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        )
        async with running_controller(tmp_path, one_trial) as (controller, _):
            assert [job.id for job in controller.jobs()] == ["opt-2", "opt-1"]
            assert controller.get("opt-2").status == "succeeded"
        path.write_bytes(whole)


async def test_damaged_events_of_a_job_that_runs_set_it_aside_and_of_a_finished_one_are_told_when_asked_for(
    tmp_path: Path,
) -> None:
    async with running_controller(tmp_path, until_stopped) as (controller, _):
        for id in ("opt-1", "opt-2", "opt-3"):
            await controller.create(filed(id), FREE)
        await until(lambda: "trial.round" in kinds(tmp_path, "opt-1"))
    for id in ("opt-1", "opt-3"):
        events = tmp_path / "optimizations" / id / "events" / "000000.jsonl"
        lines = events.read_text().splitlines()
        events.write_text("\n".join([lines[0].replace('"id": 1', '"id": 2'), *lines[1:]]) + "\n")
    async with running_controller(tmp_path, one_trial) as (controller, _):
        await over(controller, "opt-2")
        for id in ("opt-1", "opt-3"):
            error = controller.get(id).error
            assert error is not None
            assert (
                f"optimizations/{id}/events/000000.jsonl is not what was written there"
                in error.message
            )
            assert isinstance((await controller.events_since({id: 0, "opt-2": 0}, 1))[id], Damaged)
        await until(lambda: Store(str(tmp_path)).state("opt-2").status == "succeeded")
    (tmp_path / "optimizations" / "opt-2" / "events" / "000000.jsonl").write_text("no json\n")
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert controller.get("opt-2").status == "succeeded"
        found = await controller.events_since({"opt-2": 0}, 1)
        assert "events of this job are damaged: optimizations/opt-2/events/000000.jsonl" in str(
            found["opt-2"]
        )


@pytest.mark.parametrize("damage", ["gone", "half", "empty", "bytes", "last line", "a file of two"])
async def test_an_index_that_is_lost_or_damaged_is_made_again_from_the_jobs(
    tmp_path: Path, damage: str
) -> None:
    ids = [f"opt-{number}" for number in range(1, 4)]
    await finished(tmp_path, *ids)
    index = tmp_path / "optimizations" / "index" / "000000.jsonl"
    if damage == "last line":
        index.write_text("".join(index.read_text().splitlines(keepends=True)[:-1]))
    elif damage == "a file of two":
        index.rename(index.with_name("000001.jsonl"))
    else:
        DAMAGES[damage](index)
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert [job.id for job in controller.jobs()] == ids[::-1]
        assert [job.status for job in controller.jobs()] == ["succeeded"] * 3
        assert any("list of jobs" in note for note in controller.job_table.notes)
        await controller.create(filed("opt-4"), FREE)
        await over(controller, "opt-4")
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert [job.id for job in controller.jobs()] == ["opt-4", *ids[::-1]]
        assert not controller.job_table.notes, "it was mended"


async def test_a_record_that_was_never_acknowledged_is_no_job(tmp_path: Path) -> None:
    await finished(tmp_path, "opt-1")
    Store(str(tmp_path)).file_request(filed("opt-2"))
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert [job.id for job in controller.jobs()] == ["opt-1"]


async def test_an_older_index_that_names_no_owner_is_read_and_a_job_of_nobody_is_shown_to_admins(
    tmp_path: Path,
) -> None:
    await finished(tmp_path, "opt-1", "opt-2")
    (tmp_path / "optimizations" / "index" / "000000.jsonl").write_text(
        '{"id": "opt-1"}\n{"id": "opt-2"}\n'
    )
    (tmp_path / "optimizations" / "opt-1" / "request.json").write_text("{")
    async with running_controller(tmp_path, one_trial) as (controller, _):
        (_, damaged) = controller.jobs()
        assert (damaged.id, damaged.owner, damaged.request) == ("opt-1", "", None)
        assert not ANN.may_see(damaged.owner)
        assert Principal("root", admin=True).may_see(damaged.owner)


@pytest.mark.parametrize("damage", ["half", "list", "words"])
async def test_a_damaged_file_of_use_is_made_up_for_and_gives_no_quota_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(controller_module, "SAVE_EVERY_S", 0.02)
    limits, today = QuotaSettings(calls_a_day=25), day_of(time.time())
    async with running_controller(tmp_path, one_trial) as (controller, _):
        for id in ("opt-1", "opt-2"):
            await controller.create(filed(id), limits)
            await over(controller, id)
        await until(lambda: Store(str(tmp_path)).usage(today).get("ann", {}).get("calls") == 40)
        await until(lambda: Store(str(tmp_path)).state("opt-2").status == "succeeded")
    usage = tmp_path / "usage" / f"{today}.json"
    spoilt('{"ann": {"calls": "many"}}')(usage) if damage == "words" else DAMAGES[damage](usage)
    before = usage.read_bytes()
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert controller.use("ann")["calls_today"] == 40
        assert any(f"usage/{today}.json" in note for note in controller.job_table.notes)
        await until(lambda: usage.read_bytes() != before)
        assert Store(str(tmp_path)).usage(today)["ann"]["calls"] == 40
    assert usage.with_name(f"{today}.json.damaged").read_bytes() == before


async def test_who_cannot_open_the_storage_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(tmp_path, "opt-1")

    def away(self: Journal) -> None:
        raise StorageError("The storage is away.")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "entries", away)
        for _ in range(2):  # the second hears the true reason, and not that the storage is in use
            with pytest.raises(StorageError, match="is away"):
                await JobController(str(tmp_path), 1, WorkerPool(one_trial)).open(0.2)
    async with running_controller(tmp_path, one_trial) as (controller, _):
        assert controller.get("opt-1").status == "succeeded"


async def test_a_storage_that_is_away_sets_no_job_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(tmp_path, "opt-1", "opt-2")
    whole = LocalFolder.read

    def read(folder: LocalFolder, name: str) -> bytes:
        if away and name in ("request.json", "000000.jsonl"):
            raise StorageError("The storage is away.")
        return whole(folder, name)

    store, away = Store(str(tmp_path)), False
    monkeypatch.setattr(LocalFolder, "read", read)
    whole_state = Store.state

    def state(self: Store, id: str) -> object:
        nonlocal away
        away = True
        return whole_state(self, id)

    monkeypatch.setattr(Store, "state", state)
    monkeypatch.setattr(
        Store, "filed", lambda self, id: (state(self, id), self.job(id).read("request.json"))
    )
    with pytest.raises(StorageError, match="is away"):
        await JobController(store.place, 1, WorkerPool(one_trial)).open(0.2)


def test_a_damaged_upload_is_listed_with_its_reason_beside_the_others_and_can_be_deleted(
    tmp_path: Path,
) -> None:
    files = FileStore(open_folder(tmp_path))
    stored = []
    for name in "abc":
        incoming = files.receive(ANN, f"{name}.csv", BytesIO(b"input,target\n1 + 1,2\n"))
        stored.append(files.save(ANN, incoming, FileSummary(1, "exact", [])))
        incoming.discard()
    (tmp_path / "files" / stored[1].id / "file.json").write_text("{")
    (tmp_path / "files" / stored[2].id / "file.json").unlink()
    listed = {file.id: file for file in files.page(ANN, None, 10).data}
    assert set(listed) == {file.id for file in stored}
    assert listed[stored[0].id] == stored[0]
    for file in stored[1:]:
        assert "damaged or gone; delete it" in listed[file.id].error
        with pytest.raises((Damaged, NotFound)):
            files.delete(Principal("bob"), file.id)
        files.delete(ANN, file.id)
    assert [file.id for file in files.page(ANN, None, 10).data] == [stored[0].id]


def test_a_damaged_line_of_the_audit_is_told_of(tmp_path: Path) -> None:
    audit = Audit(open_folder(tmp_path))
    for subject in ("a", "b", "c"):
        audit.write("ann", "act", subject)
    (path,) = (tmp_path / "audit").iterdir()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{" + lines[1], lines[2]]) + "\n")
    entries = audit.page(None, 10).data
    assert [(entry.action, entry.subject) for entry in entries] == [
        ("audit.damaged", f"{path.name}, line 2"),
        ("act", "c"),
        ("act", "a"),
    ]
    assert [entry.subject for entry in audit.page(entries[0].id, 10).data] == ["c", "a"]


@pytest.mark.slow
async def test_a_damaged_results_folder_is_shown_with_its_reason_beside_the_others(
    small: Small, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    (damaged / "trials").mkdir(parents=True)
    (damaged / "settings.yaml").write_bytes((small.out / "settings.yaml").read_bytes())
    (damaged / "trials" / "t.json").write_text("{")
    backend = ArchiveBackend([damaged, small.out])
    admin = Principal("local", admin=True)
    jobs = (await backend.page(admin, None, 10)).data
    assert [job.status for job in jobs] == ["succeeded", "failed"]
    assert jobs[1].error is not None
    assert "t.json" in jobs[1].error.message
    assert await backend.get(admin, jobs[1].id) == jobs[1]
    with pytest.raises(Damaged):
        await backend.settings(admin, jobs[1].id)
    with pytest.raises(DataError):
        ArchiveBackend([damaged])
    with pytest.raises(StorageError, match=r"has no settings\.yaml"):
        ArchiveBackend([small.out, tmp_path / "slip"])
    assert json.loads(jobs[1].model_dump_json())["request"] is None


class OverDispatcher(RayBackend):
    """The backend of a replica, with a controller in this process."""

    def __init__(self, service: ServiceSettings, controller: JobController) -> None:
        super().__init__(service)
        self.controller = controller

    async def _call(self, method: Any, within_s: float = 0.0) -> Any:
        """Without Ray."""
        return await method(Handle(self.controller))

    async def faults(self) -> list[str]:
        """As the controller's actor tells them."""
        return self.controller.faults(LASTING)

    async def ping(self) -> None:
        """It is here."""


class Handle:
    """An actor's, without Ray."""

    def __init__(self, controller: JobController) -> None:
        self._controller = controller

    def __getattr__(self, name: str) -> Any:
        async def ask(*given: Any) -> Any:
            answer = getattr(self._controller, name)(*given)
            return await answer if inspect.isawaitable(answer) else answer

        return SimpleNamespace(remote=ask)


async def test_the_api_shows_a_damaged_job_to_whom_it_belongs_and_health_tells_of_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller_module, "SAVE_EVERY_S", 0.02)
    ids = ["opt-1", "opt-2", "opt-3", "opt-4"]
    await finished(tmp_path, *ids)
    jobs = tmp_path / "optimizations"
    (jobs / "opt-1" / "request.json").write_text("{")
    (jobs / "opt-2" / "events" / "000000.jsonl").write_text("{\n")
    (jobs / "opt-3" / "results").mkdir()
    (jobs / "opt-3" / "results" / "settings.yaml").write_text("name: [")
    async with running_controller(tmp_path, one_trial, backoff=Backoff(0.01, 0.02)) as (
        controller,
        worker_pool,
    ):
        backend = OverDispatcher(ServiceSettings(storage=str(tmp_path)), controller)
        key = {
            name: add_key(LocalFolder(tmp_path), name, admin=name == "root")[1]
            for name in ("ann", "bob", "root")
        }
        app = service_app(
            Service(
                backend,
                FileStore(LocalFolder(tmp_path)),
                Audit(LocalFolder(tmp_path)),
                backend._service,
                lambda owner: FREE,
            ),
            Authenticator(LocalFolder(tmp_path)),
        )
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:

            async def get(path: str, owner: str = "ann") -> tuple[int, Any]:
                answer = await http.get(
                    f"/v1/optimizations{path}", headers={"Authorization": f"Bearer {key[owner]}"}
                )
                return answer.status_code, answer.json()

            for owner, seen in (("ann", 4), ("bob", 0), ("root", 4)):
                status, page = await get("", owner)
                assert (status, len(page["data"])) == (200, seen)
            status, job = await get("/opt-1")
            assert (status, job["status"], job["error"]["code"]) == (200, "failed", "damaged")
            for path, what in (
                ("/opt-1/trials", "opt-1/request.json"),
                ("/opt-1/best", "opt-1/request.json"),
                ("/opt-2/events", "opt-2/events/000000.jsonl"),
                ("/opt-2/events?stream=true", "opt-2/events/000000.jsonl"),
                ("/opt-3/trials", "settings.yaml"),
            ):
                status, answer = await get(path)
                assert (status, answer["error"]["code"]) == (409, "damaged"), (path, answer)
                assert what in answer["error"]["message"]
                assert str(tmp_path) not in answer["error"]["message"]
                assert (await get(path, "bob"))[0] == 404
            assert (await get("/opt-4/events"))[0] == 200
            assert (await get("/opt-2"))[1]["status"] == "succeeded"
            assert (await http.get("/healthz")).status_code == 200

            async def breaks() -> Mapping[str, int]:
                raise RuntimeError("a fault of ours")

            monkeypatch.setattr(worker_pool, "in_flight", breaks)
            await until(lambda: bool(controller.faults(LASTING)))
            async with asyncio.timeout(10):  # what was found before holds for a second
                while (health := await http.get("/healthz")).status_code == 200:
                    await asyncio.sleep(0.05)
            assert (health.status_code, "background" in health.text) == (503, True)
            assert "a fault of ours" not in health.text
