"""A failing audit: the caller is told the truth, no line is lost, and no act is begun while lines
wait.
"""

from pathlib import Path

import pytest

from cluster.service.core.backend import Principal
from cluster.service.stores.audit_log import Audit
from optimizer.errors import StorageError
from serving.runtime.supervision import Backoff
from serving.storage.local import LocalFolder
from tests.unit.cluster.service.http.conftest import REQUEST, Owners
from tests.unit.cluster.service.running_controller import until

ANN = Principal("ann")


class Disk:
    """The audit's folder is full while it is told to be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        whole = LocalFolder.write

        def write(folder: LocalFolder, name: str, data: bytes) -> None:
            if self.full and folder.path.name == "audit":
                raise self.error
            whole(folder, name, data)

        self.error: Exception = StorageError("The disk is full.")
        monkeypatch.setattr(LocalFolder, "write", write)


@pytest.mark.parametrize(
    "error", [StorageError("The disk is full."), RuntimeError("a fault of ours")]
)
async def test_an_act_that_was_done_is_no_error_and_the_next_is_not_begun(
    owners: Owners, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    disk = Disk(monkeypatch)
    disk.full, disk.error = True, error
    created = await owners.ann.post("/v1/optimizations", REQUEST)
    assert created.status_code == 200, created.text
    refused = await owners.ann.post("/v1/optimizations", REQUEST)
    assert refused.status_code == (503 if isinstance(error, StorageError) else 500)
    if isinstance(error, StorageError):
        assert "Nothing was done, as the audit" in refused.json()["error"]["message"]
    assert (
        len(
            [
                job
                for job in (await owners.ann.json("/v1/optimizations"))["data"]
                if job["owner"] == "ann"
            ]
        )
        == 1
    )
    disk.full = False
    assert (await owners.ann.post("/v1/optimizations", REQUEST)).status_code == 200
    entries = (await owners.admin.json("/v1/audit"))["data"]
    assert [(entry["action"], entry["outcome"]) for entry in entries] == [
        ("optimization.create", "done")
    ] * 2


async def test_lines_that_wait_are_written_though_nobody_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, audit = Disk(monkeypatch), Audit(LocalFolder(tmp_path), backoff=Backoff(0.01, 0.02))
    disk.full = True
    for number in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(
                audit, "_expect_written", lambda: None
            )  # acts that began at the same time
            async with audit.recorded(ANN, "act", f"{number}"):
                pass
    await until(lambda: bool(audit.faults()))
    assert "writing down what was done" in audit.faults()[0]
    assert audit.page(None, 10).data == []
    disk.full = False
    await until(lambda: not audit.faults())
    assert [entry.subject for entry in audit.page(None, 10).data] == ["2", "1", "0"]
