"""The typed client and `promptray jobs` against a real server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from cluster.cli import app as command
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import write_settings
from cluster.results.folder import write_trial
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.client import ServiceClient
from cluster.service.client.responses import ServiceError
from cluster.service.schemas import OptimizationRequest
from cluster.service.show import shown_app
from optimizer.candidate import Candidate
from optimizer.errors import EndpointError, PromptrayError, SettingsError
from optimizer.prompt import Demonstration, Prompt
from serving.storage import open_folder
from tests.unit.cluster.service.http.conftest import (
    EVERY_S,
    REQUEST,
    SETTINGS,
    Small,
    played,
    served,
)

WANTED = OptimizationRequest.model_validate(REQUEST)


@pytest.fixture
def address(small: Small, tmp_path: Path) -> Iterator[str]:
    with served(played(small, tmp_path / "storage")) as at:
        yield at


@pytest.fixture
def client(address: str) -> Iterator[ServiceClient]:
    with ServiceClient(address) as one:
        yield one


@pytest.mark.process
def test_the_whole_story(client: ServiceClient, small: Small, tmp_path: Path) -> None:
    data = tmp_path / "sums.jsonl"
    data.write_text('{"input": "1 + 1", "target": "2"}\n')
    stored = client.upload(data)
    assert [file.id for file in client.files()] == [stored.id]
    assert client.estimate(WANTED).trials == 1
    job = client.create(WANTED)
    events = list(client.follow(job.id))
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events == list(client.events(job.id))
    assert client.job(job.id).status == "succeeded"
    best = client.best(job.id)
    assert best.trial in {trial.id for trial in client.trials(job.id)}
    assert json.loads(client.export(job.id, "openai"))["messages"]
    assert client.download(job.id, "report.html") == (small.out / "report.html").read_bytes()
    assert client.download(job.id, "trials.parquet")[:4] == b"PAR1"
    candidates = list(client.candidates(job.id, best.trial))
    assert client.candidate(job.id, best.trial, best.candidate).text == best.text
    assert client.compare(job.id, best.trial, best.candidate, candidates[0].id).items
    assert len(list(client.jobs())) == 2
    assert client.me().admin
    assert next(client.audit()).action == "best.download"
    client.delete_file(stored.id)
    assert list(client.files()) == []


def test_a_refusal_is_the_services_own_sentence(client: ServiceClient) -> None:
    with pytest.raises(ServiceError, match="Job 'opt-none' not found") as no:
        client.job("opt-none")
    assert (no.value.status, no.value.code) == (404, "not_found")
    with pytest.raises(ServiceError):
        client.job("../../x?y=1")


def test_a_service_that_is_not_there_is_told_in_one_sentence() -> None:
    with pytest.raises(EndpointError, match=r"^The service http://127\.0\.0\.1:9 does not answer"):
        ServiceClient("http://127.0.0.1:9").me()
    with pytest.raises(SettingsError, match="is no address"):
        ServiceClient("ftp://x")


class Cutting(httpx2.BaseTransport):
    """A way to the service that cuts every stream of events after some bytes, and remembers from
    where each was asked for.
    """

    def __init__(self, at: int) -> None:
        self._way, self._at = httpx2.HTTPTransport(), at
        self.asked: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._way.handle_request(request)
        if "last-event-id" not in request.headers or answer.status_code != 200:
            return answer
        self.asked.append(request.headers["last-event-id"])
        return httpx2.Response(200, headers=answer.headers, stream=Cut(answer.stream, self._at))

    def close(self) -> None:
        self._way.close()


class Cut(httpx2.SyncByteStream):
    def __init__(self, stream: Any, at: int) -> None:
        self._stream, self._left = stream, at

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            yield piece[: self._left]
            self._left -= len(piece)
            if self._left <= 0:
                raise httpx2.ReadError("cut")

    def close(self) -> None:
        self._stream.close()


def test_a_cut_stream_goes_on_where_it_was(address: str) -> None:
    way = Cutting(1500)
    with ServiceClient(address, transport=way, sleep=lambda _: None) as client:
        job = client.create(WANTED)
        events = list(client.follow(job.id))
    assert [event.id for event in events] == list(range(1, client_last(address, job.id) + 1))
    assert len(way.asked) > 2
    assert way.asked == sorted(way.asked, key=int)
    assert way.asked[0] == "0"


class Busy(httpx2.BaseTransport):
    """A way to a service that is too busy: every so many requests for a job or its events are
    answered with 429.
    """

    def __init__(self, often: int, retry_after: str = "7") -> None:
        self._way, self._often, self._retry_after = httpx2.HTTPTransport(), often, retry_after
        self._asked = 0
        self.from_event: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and "/v1/optimizations/" in str(request.url):
            self._asked += 1
            if self._asked % self._often:
                error = {
                    "error": {
                        "message": "Too many requests.",
                        "type": "t",
                        "param": None,
                        "code": "rate_limit_exceeded",
                    }
                }
                return httpx2.Response(
                    429, json=error, headers={"retry-after": self._retry_after}, request=request
                )
            self.from_event.append(request.headers.get("last-event-id", ""))
        return self._way.handle_request(request)

    def close(self) -> None:
        self._way.close()


def test_a_service_that_is_too_busy_is_followed_when_it_has_time(address: str) -> None:
    slept: list[float] = []
    with ServiceClient(address, transport=Busy(3), sleep=slept.append) as client:
        job = client.create(WANTED)
        events = list(client.follow(job.id))
        assert client.wait(job.id).status == "succeeded"
    assert [event.id for event in events] == list(range(1, client_last(address, job.id) + 1))
    assert set(slept) == {7.0}


def test_a_service_that_wants_one_to_wait_for_hours_is_not_waited_for(address: str) -> None:
    slept: list[float] = []
    with ServiceClient(address, transport=Busy(10**9, "7200"), sleep=slept.append) as client:
        job = client.create(WANTED)
        with pytest.raises(ServiceError, match="Too many requests"):
            next(client.follow(job.id))
    assert slept == []


def client_last(address: str, id: str) -> int:
    with ServiceClient(address) as client:
        return client.job(id).last_event


def test_what_is_no_service_is_told_so() -> None:
    def other(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(502, text="<html>Bad gateway</html>")

    with pytest.raises(EndpointError, match="is no promptray service"):
        ServiceClient("http://x", transport=httpx2.MockTransport(other)).me()
    with pytest.raises(EndpointError, match="another version"):
        ServiceClient(
            "http://x",
            transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json={"a": 1})),
        ).me()


@pytest.mark.process
def test_the_commands(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTRAY_SERVICE", address)

    def said(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(command, ["jobs", *arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    output = said("submit", "--task", "navigate", "--strategy", "apo", "--name", "mine", "--wait")
    id = output.split()[0]
    assert "job.succeeded" in output
    assert "mine" in said("list")
    assert "succeeded" in said("show", id)
    assert "trial.round" in said("events", id)
    assert "navigate-abo-s0" in said("trials", id)
    told = said("best", id)
    assert "dev accuracy" in told
    assert "(95% Wilson interval" in told
    assert "on 8 items, baseline" in told
    said("best", id, "--format", "dspy", "--out", str(tmp_path / "state.json"))
    assert json.loads((tmp_path / "state.json").read_text())["signature"]
    said("download", id, "settings.yaml", "--out", str(tmp_path / "s.yaml"), code=1)
    said("download", id, "report.html", "--out", str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_bytes().startswith(b"<!doctype html>")
    assert "At most" in said("estimate", "--task", "navigate", "--strategy", "apo")
    data = tmp_path / "sums.csv"
    data.write_text("input,target\n1 + 1,2\n")
    assert "1 rows" in said("upload", str(data))
    second = said("submit", "--task", str(data), "--strategy", "apo").split()[0]
    assert "cancelled" in said("cancel", second)
    assert "queued" in said("resume", second)
    refused = CliRunner().invoke(command, ["jobs", "show", "opt-none"])
    assert isinstance(refused.exception, PromptrayError)
    assert EVERY_S < 1


class Silent(httpx2.BaseTransport):
    """A way on which streams of events are empty, and the list of them is refused."""

    def __init__(self) -> None:
        self._way = httpx2.HTTPTransport()
        self.asked = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/events"):
            return self._way.handle_request(request)
        self.asked += 1
        if "last-event-id" in request.headers:
            return httpx2.Response(
                200, headers={"content-type": "text/event-stream"}, request=request
            )
        error = {
            "error": {
                "message": "The events are damaged.",
                "type": "t",
                "param": None,
                "code": "damaged",
            }
        }
        return httpx2.Response(409, json=error, request=request)

    def close(self) -> None:
        self._way.close()


def test_events_that_nobody_can_give_are_an_end_with_the_reason(address: str) -> None:
    with ServiceClient(address) as client:
        job = client.create(WANTED)
        client.wait(job.id)
    way = Silent()
    with (
        ServiceClient(address, transport=way, sleep=lambda _: None) as client,
        pytest.raises(ServiceError, match="are damaged"),
    ):
        list(client.follow(job.id))
    assert way.asked == 2


def test_a_job_of_two_tasks_has_two_best_prompts(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = (
        tmp_path / "two",
        replace(
            small.abo, trial="object_counting-abo-s0", task="object_counting", dev_accuracy=0.25
        ),
    )
    shown = Candidate(
        Prompt("Count.", (), (Demonstration("Two cats.\nHow many?", "Step 1: cats 2\nAnswer: 2"),)),
        "demonstrate",
        0,
    )
    write_settings(
        ExperimentSettings.model_validate(SETTINGS | {"tasks": ["navigate", "object_counting"]}),
        open_folder(out),
    )
    for one in (small.abo, replace(other, best=shown)):
        write_trial(out, one)
    with served(shown_app(ArchiveBackend([out]), open_folder(tmp_path / "storage"))) as address:
        monkeypatch.setenv("PROMPTRAY_SERVICE", address)
        run = lambda *arguments: CliRunner().invoke(command, ["jobs", *arguments])  # noqa: E731
        listed = run("list").output
        id = next(word for word in listed.split() if word.startswith("opt-"))
        assert "object_counting 0.25" in " ".join(listed.split())
        told = run("best", id).output
        assert small.abo.trial + ": dev accuracy" in told
        assert "object_counting-abo-s0: dev accuracy 0.25" in told
        assert "Input:\nTwo cats.\nHow many?\nStep 1:\ncats 2\nAnswer:\n2\n" in told
        refused = run("best", id, "--format", "openai")
        assert refused.exit_code == 2
        assert "--trial" in refused.output
        assert (
            '"messages"'
            in run("best", id, "--format", "openai", "--trial", "object_counting-abo-s0").output
        )
