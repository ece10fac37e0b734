"""The routes of evaluations: over folders that `promptray evaluate` has left, and, as far as a request
goes, over a service that runs none.
"""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cluster.cli import app as command
from cluster.evaluation.settings import EvaluationSettings
from cluster.evaluation.summary import Evaluated, comparisons, summaries
from cluster.experiment.prepare import write_settings
from cluster.results.items import ITEMS
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.backends.replay import ReplayBackend
from cluster.service.client import ServiceClient
from cluster.service.core.backend import Principal
from cluster.service.schemas import Evaluation, EvaluationRequest, Job
from cluster.service.show import shown_app
from optimizer.errors import DataError
from optimizer.prompt import Prompt
from serving.storage import open_folder
from tests.contracts import hostile
from tests.unit.cluster.service.http.conftest import REQUEST, OpenService, Small, served

SCORES = {"old": [0.0, 0.0, 1.0, None], "new": [1.0, 1.0, 1.0, 0.5]}
ASKED = {"prompts": [{"text": "Add."}], "file": "file-1"}


def evaluated(out: Path, labels: tuple[str, str] = ("old", "new"), **changes: Any) -> Path:
    """A folder as `promptray evaluate` leaves it."""
    out.mkdir()
    scores = dict(zip(labels, SCORES.values(), strict=True))
    settings = EvaluationSettings.of(
        {
            "prompts": [{"label": label, "prompt": Prompt(label).to_json()} for label in labels],
            "task": {"source": str(out / "data.jsonl")},
            "target": {"kind": "openai", "model": "m", "base_url": "http://10.0.0.1/v1"},
            "least_score": 0.8,
        }
    )
    write_settings(settings, open_folder(out))
    verdicts = {label: Counter({"right": 1}) for label in labels}
    found = Evaluated(
        data="data",
        target="openai:m",
        grader="exact",
        items=4,
        prompts=summaries(scores, verdicts, 0.8),
        comparisons=comparisons(scores),
        least_score=0.8,
        complete=True,
        ended="",
        calls=8,
        cached=1,
        money=None,
    )
    (out / "summary.json").write_text(json.dumps(found.to_json() | changes))
    pq.write_table(ITEMS.empty_table(), out / "items.parquet")
    return out


async def test_a_finished_one_is_shown_with_its_scores_and_files(
    open_service: OpenService, small: Small, tmp_path: Path
) -> None:
    out = evaluated(tmp_path / "out")
    service = open_service(backend=ArchiveBackend([small.out, out]))
    (job,) = (await service.json("/v1/evaluations"))["data"]
    assert (job["object"], job["status"], job["passed"]) == ("evaluation", "succeeded", False)
    assert [(one["prompt"], one["items"], one["passed"]) for one in job["scores"]] == [
        ("old", 3, False),
        ("new", 4, True),
    ]
    assert job["request"]["file"] == "data.jsonl"
    assert "10.0.0.1" not in json.dumps(job)
    assert (await service.json(f"/v1/evaluations/{job['id']}")) == job
    summary = await service.json(f"/v1/evaluations/{job['id']}/summary")
    assert [one["prompt"] for one in summary["prompts"]] == ["old", "new"]
    assert [(one["first"], one["second"]) for one in summary["comparisons"]] == [("old", "new")]
    written = json.loads((out / "summary.json").read_text())
    for name in ("summary.json", "items.parquet"):
        answer = await service.get(f"/v1/evaluations/{job['id']}/files/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.content == (out / name).read_bytes()
    assert pq.read_table(io.BytesIO(answer.content)).schema.names == ITEMS.names
    assert written["passed"] == summary["passed"]
    kinds = [
        event["kind"]
        for event in (await service.json(f"/v1/evaluations/{job['id']}/events"))["data"]
    ]
    assert kinds == ["job.queued", "job.started", "job.succeeded"]
    assert (
        await service.get(f"/v1/evaluations/{job['id']}/files/settings.yaml")
    ).status_code == 400


async def test_kinds_are_listed_apart_and_together(
    open_service: OpenService, small: Small, tmp_path: Path
) -> None:
    service = open_service(backend=ArchiveBackend([small.out, evaluated(tmp_path / "out")]))

    async def ids(path: str, **params: Any) -> list[str]:
        return [job["id"] for job in (await service.json(path, **params))["data"]]

    (search,) = await ids("/v1/optimizations")
    (evaluation,) = await ids("/v1/evaluations")
    assert set(await ids("/v1/jobs")) == {search, evaluation}
    assert await ids("/v1/jobs", kind="evaluation") == [evaluation]
    assert (search[:4], evaluation[:5]) == ("opt-", "eval-")
    first = await service.json("/v1/jobs", limit=1)
    assert first["has_more"]
    rest = await service.json("/v1/jobs", limit=1, after=first["last_id"])
    assert {first["data"][0]["id"], rest["data"][0]["id"]} == {search, evaluation}


async def test_a_job_of_one_kind_is_none_of_the_other(
    open_service: OpenService, small: Small, tmp_path: Path
) -> None:
    service = open_service(backend=ArchiveBackend([small.out, evaluated(tmp_path / "out")]))
    search, evaluation = [
        (await service.json(f"/v1/{kind}"))["data"][0]["id"]
        for kind in ("optimizations", "evaluations")
    ]
    parts = ("", "/events", "/trials", "/best", "/report", "/files/trials.parquet", "/candidates")
    for path in (f"/v1/optimizations/{evaluation}{part}" for part in parts):
        assert (await service.get(path)).status_code == 404, path
    for path in (f"/v1/evaluations/{search}{part}" for part in ("", "/events", "/summary")):
        assert (await service.get(path)).status_code == 404, path
    for verb in ("cancel", "resume"):
        assert (await service.post(f"/v1/evaluations/{search}/{verb}")).status_code == 404
        assert (await service.post(f"/v1/optimizations/{evaluation}/{verb}")).status_code == 404
        assert (await service.post(f"/v1/evaluations/{evaluation}/{verb}")).status_code == 409


async def test_one_that_was_cut_has_no_summary_yet(
    open_service: OpenService, tmp_path: Path
) -> None:
    out = evaluated(tmp_path / "out")
    (out / "summary.json").unlink()
    service = open_service(backend=ArchiveBackend([out]))
    (job,) = (await service.json("/v1/evaluations"))["data"]
    assert (job["status"], job["scores"], job["passed"]) == ("cancelled", [], None)
    answer = await service.get(f"/v1/evaluations/{job['id']}/summary")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize("content", ["{", "[]", '{"data": 1}', "[" * 100_000])
async def test_a_damaged_summary_is_no_fault_of_the_service(
    open_service: OpenService, small: Small, tmp_path: Path, content: str
) -> None:
    out = evaluated(tmp_path / "out")
    service = open_service(backend=ArchiveBackend([out]))
    (job,) = (await service.json("/v1/evaluations"))["data"]
    (out / "summary.json").write_text(content)
    answer = await service.get(f"/v1/evaluations/{job['id']}/summary")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "damaged")
    assert str(tmp_path) not in answer.text
    again = open_service(backend=ArchiveBackend([small.out, out]))
    (broken,) = [job for job in (await again.json("/v1/jobs"))["data"] if job["status"] == "failed"]
    assert "summary.json" in broken["error"]["message"]


@pytest.mark.parametrize("text", hostile.SHORT)
async def test_every_route_gives_hostile_labels_as_text(
    open_service: OpenService, tmp_path: Path, text: str
) -> None:
    service = open_service(
        backend=ArchiveBackend([evaluated(tmp_path / "out", (f"a{text}", f"b{text}"))])
    )
    (job,) = (await service.json("/v1/evaluations"))["data"]
    for part in ("", "/summary", "/events"):
        answer = await service.get(f"/v1/evaluations/{job['id']}{part}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        answer.content.decode("ascii")


class Taking(ReplayBackend):
    """Takes every evaluation, and runs none."""

    def __init__(self, folder: Path) -> None:
        super().__init__([folder])
        self.taken: list[EvaluationRequest] = []

    async def create(
        self, principal: Principal, request: Any, idempotency_key: str | None = None
    ) -> Job:
        self.taken.append(request)
        return Evaluation(
            id="eval-1", name="x", owner="ann", created_at=1, status="queued", request=request
        )


async def asked(service: Any, **prompt: Any) -> httpx2.Response:
    answer: httpx2.Response = await service.post("/v1/evaluations", ASKED | {"prompts": [prompt]})
    return answer


async def test_the_best_prompt_of_a_job_stands_in_its_place(
    open_service: OpenService, small: Small
) -> None:
    backend = Taking(small.out)
    service = open_service(backend=backend)
    job = await service.shown()
    abo = small.abo.trial
    best = await service.json(f"/v1/optimizations/{job}/best", trial=abo)
    assert (await asked(service, job=job, trial=abo)).status_code == 200
    (prompt,) = backend.taken[0].prompts
    assert (prompt.job, prompt.label, prompt.prompt) == (None, abo, best["prompt"])
    assert (await asked(service, job=job, task="navigate", label="mine")).status_code == 200
    (whole,) = (await service.json(f"/v1/optimizations/{job}/best/tasks"))["data"]
    assert backend.taken[1].prompts[0].prompt == whole["prompt"]
    assert backend.taken[1].prompts[0].label == "mine"
    for wrong, status in (
        ({"job": "opt-none"}, 404),
        ({"job": "eval-1"}, 404),
        ({"job": job, "trial": "none"}, 404),
        ({"job": job, "task": "none"}, 400),
    ):
        assert (await asked(service, **wrong)).status_code == status, wrong
    assert len(backend.taken) == 2


async def test_a_replay_checks_a_request_and_says_that_it_runs_none(
    open_service: OpenService,
) -> None:
    service = open_service()
    assert (await service.post("/v1/evaluations", ASKED)).status_code == 409
    wrong = await service.post("/v1/evaluations", ASKED | {"target": "scripted:/etc/passwd"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "invalid_value")
    assert (await service.post("/v1/evaluations", {"prompts": []})).status_code == 400
    assert (await service.post("/v1/optimizations", REQUEST)).status_code == 200


def test_a_folder_of_an_evaluation_alone_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which can be replayed"):
        ReplayBackend([evaluated(tmp_path / "out")])


class Finished(ArchiveBackend):
    """Takes every evaluation for the one that is over already."""

    def __init__(self, *folders: Path) -> None:
        super().__init__(folders)
        self.taken: list[Any] = []

    async def create(
        self, principal: Principal, request: Any, idempotency_key: str | None = None
    ) -> Job:
        self.taken.append(request)
        return (await self.page(principal, None, 1, kind="evaluation")).data[0]


@pytest.mark.process
def test_the_client_and_the_commands(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Finished(small.out, evaluated(tmp_path / "out"))
    data, prompt = tmp_path / "sums.jsonl", tmp_path / "add.md"
    data.write_text('{"text": "1 + 1", "label": "2"}\n')
    prompt.write_text("Add the numbers.\n")
    with served(shown_app(backend, open_folder(tmp_path / "storage"))) as address:
        with ServiceClient(address) as client:
            job = client.evaluate(EvaluationRequest.model_validate(ASKED))
            assert client.wait(job.id) == client.job(job.id) == next(client.evaluations()) == job
            assert isinstance(job, Evaluation)
            assert [one.prompt for one in client.summary(job.id).prompts] == ["old", "new"]
            assert client.download(job.id, "items.parquet")[:4] == b"PAR1"
            assert {one.object for one in client.all_jobs()} == {"optimization", "evaluation"}
            search = next(client.jobs())
        monkeypatch.setenv("PROMPTRAY_SERVICE", address)

        def run(*arguments: str) -> tuple[int, str]:
            result = CliRunner().invoke(command, ["jobs", *arguments])
            return result.exit_code, " ".join(result.output.split())

        given = ["--data", str(data), "--input", "text", "--target-column", "label", "--min", "0.8"]
        code, said = run(
            *("evaluate", str(prompt), "Sum up.", f"{search.id}/{small.abo.trial}", *given),
            *("--model", "openai:m", "--wait", "--grader", "exact", "--target-calls", "9"),
        )
        assert code == 5, said
        assert "new against old: +" in said
        assert "Least score 0.8: not reached." in said
        request = backend.taken[-1]
        assert [prompt.label for prompt in request.prompts] == ["add", "Sum up", small.abo.trial]
        assert request.prompts[0].prompt == Prompt("Add the numbers.").to_json()
        assert request.file.startswith("file-")
        assert (request.columns.input, request.columns.target) == ("text", "label")
        assert (request.min, request.target, request.grader) == (0.8, "openai:m", "exact")
        assert request.budget.target_calls == 9
        assert run("evaluate", "x", "--data", request.file)[0] == 0
        assert backend.taken[-1].file == request.file
        assert "old 0.333, new 0.875" in run("list")[1]
        assert "Least score not reached." in run("show", job.id)[1]
        assert "new against old" in run("summary", job.id)[1]
        code, said = run("summary", search.id)
        assert code != 0
        code, said = run("evaluate", "x", "--data", str(tmp_path / "none.csv"))
        assert code != 0
        monkeypatch.chdir(tmp_path)
        assert run("download", job.id, "summary.json")[0] == 0
        assert json.loads((tmp_path / "summary.json").read_text())["items"] == 4
