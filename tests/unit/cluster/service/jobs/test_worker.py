"""What a worker process tells its controller, what it begins with, and how its runs end."""

from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError

from cluster.config.experiment import ExperimentSettings
from cluster.experiment import prepare, runner
from cluster.service.core.job_record import Filed
from cluster.service.core.settings import ServiceSettings
from cluster.service.core.worker_pool import Work
from cluster.service.jobs import worker
from cluster.service.jobs.run_updates import Sized
from cluster.service.jobs.worker import Worker, begin_with, hosted_beside
from cluster.service.schemas import OptimizationRequest
from optimizer.errors import DataError, EndpointError, StorageError
from serving.storage import open_folder
from tests.unit.cluster.service.requests import request

WORK = Work(Filed("opt-1", 1, "ann", 1, OptimizationRequest.model_validate(request())), run=3)


class Method:
    """A method of an actor: what it was asked is what it gives."""

    def __init__(self, name: str, asked: list[tuple[Any, ...]]) -> None:
        self._name, self._asked = name, asked

    def remote(self, *given: Any) -> str:
        self._asked.append((self._name, *given))
        return self._name


class Controller:
    """An actor handle that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Method:
        return Method(name, self.asked)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was waited for, each time."""
    waited: list[Any] = []

    def get(what: Any, timeout: float) -> Any:
        waited.append(what)
        return False  # the owner has no limit

    monkeypatch.setattr(worker.ray, "get", get)
    return waited


@pytest.fixture
def service(tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(storage=str(tmp_path))


def test_what_is_wrong_with_a_job_is_its_outcome_and_all_news_have_arrived(
    service: ServiceSettings, heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise DataError("The data is gone.")

    monkeypatch.setattr(prepare, "prepare", refused)
    outcome = Worker(service).run(WORK, Controller())
    assert (outcome.kind, outcome.code, outcome.message) == (
        "failed",
        "DataError",
        "The data is gone.",
    )
    assert heard == [[]]


def test_a_job_that_breaks_off_is_told_by_what_broke_it(
    service: ServiceSettings, heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise runner.BrokenOff(EndpointError("It is down."), ())

    monkeypatch.setattr(runner, "run_experiment", breaks)
    controller = Controller()
    outcome = Worker(service).run(WORK, controller)
    assert (outcome.code, outcome.message) == ("EndpointError", "It is down.")
    assert ("report", "opt-1", 3, Sized(1)) in controller.asked
    assert heard[-1] == ["report"]


@pytest.mark.parametrize(
    ("asked_of", "stopped"), [(("opt-1", 3), True), (("opt-1", 2), False), (("opt-2", 3), False)]
)
def test_only_the_run_that_was_asked_to_stop_does(
    service: ServiceSettings,
    heard: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    asked_of: tuple[str, int],
    stopped: bool,
) -> None:
    seen: list[bool] = []

    def run_experiment(_: object, __: object, context: runner.RunContext) -> tuple[()]:
        seen.append(context.stop())
        if seen[-1]:
            raise runner.Interrupted(())
        return ()

    monkeypatch.setattr(runner, "run_experiment", run_experiment)
    running = Worker(service)
    running.stop(*asked_of)
    assert running.run(WORK, Controller()).kind == ("stopped" if stopped else "ended")
    assert seen == [stopped]


def test_news_are_waited_for_when_many_are_under_way(heard: list[Any]) -> None:
    line = worker._ControllerLink(Controller(), WORK)
    for number in range(worker.MOST_UNCONFIRMED + 1):
        assert heard == []
        line.report(Sized(number))
    assert heard == [["report"] * (worker.MOST_UNCONFIRMED + 1)]
    line.close()
    assert heard[1:] == [[]]


def test_a_controller_that_does_not_hear_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(*_: object, timeout: float) -> None:
        raise GetTimeoutError

    monkeypatch.setattr(worker.ray, "get", silent)
    line = worker._ControllerLink(Controller(), WORK)
    line.report(Sized(1))
    with pytest.raises(StorageError, match=r"has not confirmed a report of this job .* resume it"):
        line.close()
    with pytest.raises(StorageError, match=r"has not answered this job .* resume it"):
        line.share(None)  # type: ignore[arg-type]


def test_models_are_claimed_before_they_are_hosted_and_none_for_none(heard: list[Any]) -> None:
    controller = Controller()
    line = worker._ControllerLink(controller, WORK)
    line.claim([])
    assert (controller.asked, heard) == ([], [])
    line.claim(("a", "b"))
    assert controller.asked == [("claim_models", "opt-1", 3, ["a", "b"])]
    assert heard == [["claim_models"]]


def test_only_models_that_the_service_does_not_host_are_hosted_beside(
    service: ServiceSettings,
) -> None:
    def hosted(**optimizer: Any) -> list[str]:
        model = {"kind": "builtin", "name": "optimizer", **optimizer}
        return hosted_beside(
            prepare.models_of(
                ExperimentSettings.model_validate(
                    {"tasks": ["navigate"], "strategies": ["apo"], "optimizer": model}
                )
            ),
            service,
        )

    assert hosted() == []
    (name,) = hosted(prior_bias=0.9)
    assert "optimizer" in name


def test_a_job_begins_with_what_its_probe_has_paid_for_unless_it_has_begun(tmp_path: Path) -> None:
    probed, out, begun = (open_folder(tmp_path / name) for name in ("probed", "out", "begun"))
    (probed / "ledger").write("1.arrows", b"answers")
    begin_with(probed, out)
    assert out.names() == [], "a probe that has not ended"
    probed.write("check.json", b"{}")
    (begun / "ledger").write("2.arrows", b"its own")
    for folder in (out, begun):
        begin_with(probed, folder)
    assert (out / "ledger").names() == ["1.arrows"]
    assert out.read("check.json") == b"{}"
    assert (begun / "ledger").names() == ["2.arrows"]
    assert not begun.exists("check.json")
