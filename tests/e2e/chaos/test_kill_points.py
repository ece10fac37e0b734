"""SIGKILL at every kind of moment of a small experiment under `budget.total`, most of them in its
final tests: it can always be finished, no limit is passed, and only calls that were under way are
made again.

Real processes and real storage, without Ray (see cut.py): each death is a fork of a process that
has everything loaded.
"""

import json
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from random import Random
from typing import Any

import pytest

from serving.budget import FILE
from serving.ledger.inspection import read_segments
from serving.storage import open_folder
from tests.e2e.chaos.cut import PLACES, RESULTS, SEEN, SIZES, STRATEGIES, run
from tests.e2e.chaos.experiments import write_task
from tests.e2e.chaos.killing import SEED

pytestmark = [pytest.mark.process, pytest.mark.slow]
KILLED = -9
POINTS = 92
DEATHS = 4
"""Of one experiment."""
LATER = 30
"""A run that goes on dies within so many steps."""
TESTS = len(STRATEGIES) * 2 * SIZES["test"]
WITHIN_S = 120.0


class Course:
    """An experiment in a folder, run as often as it takes."""

    def __init__(
        self, context: ForkServerContext, out: Path, task: str, total: dict[str, Any]
    ) -> None:
        self.out, self._context, self._task, self._total = out, context, task, total
        self.deaths: list[frozenset[str]] = []
        """What was in the ledger at each."""
        self._seen_before: list[list[dict[str, Any]]] = []
        out.mkdir()

    def run(self, dies_at: int | None = None) -> int:
        process = self._context.Process(
            target=run, args=(str(self.out), self._task, self._total, dies_at)
        )
        process.start()
        process.join(WITHIN_S)
        assert process.exitcode is not None, "it hangs"
        if process.exitcode == KILLED:
            self.deaths.append(self.answered())
            self._seen_before.append(self.seen())
        return process.exitcode

    def seen(self) -> list[dict[str, Any]]:
        file = self.out / SEEN
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def calls(self) -> list[dict[str, Any]]:
        return [one for one in self.seen() if "key" in one]

    def answered(self) -> frozenset[str]:
        segments = read_segments(open_folder(self.out / "ledger"), ["key"])
        return frozenset(
            key.hex()
            for _, _, found in segments
            for batch in found.batches
            for key in batch["key"].to_pylist()
        )

    @property
    def deaths_in_tests(self) -> int:
        return sum(any(one.get("purpose") == "test" for one in seen) for seen in self._seen_before)

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.out / FILE).read_text())
        return record

    def results(self) -> Any:
        return json.loads((self.out / RESULTS).read_text())

    def repeated(self) -> list[str]:
        """Calls that came again though their answers were in the ledger."""
        return [
            call["key"]
            for answered, before in zip(self.deaths, self._seen_before, strict=True)
            for call in self.seen()[len(before) :]
            if call.get("key") in answered
        ]

    def expect_honest_books(self) -> None:
        """No limit is passed, and what is booked is what was sent, but for calls that a death cut
        just before they went out.
        """
        sent = Counter(f"{call['model']}" for call in self.calls())
        spent = self.record()["spent"]
        for model, name in (("target", "target_calls"), ("author", "optimizer_calls")):
            assert sent[model] <= spent[name] <= sent[model] + PLACES * len(self.deaths)
            assert spent[name] <= self._total.get(name, spent[name])


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.e2e.chaos.cut", "pandas"]
    )  # pyarrow loads pandas when it is first at work
    return context


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cut")


@pytest.fixture(scope="module")
def task(place: Path) -> str:
    return write_task(place)


@pytest.fixture(scope="module")
def free(context: ForkServerContext, place: Path, task: str) -> Course:
    """Nobody disturbs it, and it has no limit."""
    course = Course(context, place / "free", task, {"target_calls": 10_000})
    assert course.run() == 0
    return course


def first_moments(free: Course) -> Iterator[int]:
    """Steps at which to die first: over the whole life, two of three in the final tests."""
    rng, seen = Random(f"points {SEED}"), free.seen()
    first, last = (
        next(one["step"] for one in seen if one.get("purpose") == "test"),
        seen[-1]["step"],
    )
    while True:
        yield from (rng.randrange(1, first), rng.randrange(first, last), rng.randrange(first, last))


def test_it_is_always_finished_as_if_nobody_had_killed_it(
    context: ForkServerContext, place: Path, task: str, free: Course
) -> None:
    """The budget is what it takes, with what its deaths may cost: each the calls that were under
    way, or answered and not yet on
    record."""
    searched = Counter(call["model"] for call in free.calls() if call["purpose"] != "test")
    spare = 2 * PLACES * DEATHS
    total = {
        "target_calls": searched["target"] + TESTS + spare + PLACES,
        "optimizer_calls": searched["author"] + spare,
    }
    rng, points, in_tests = Random(f"later points {SEED}"), 0, 0
    for number, moment in enumerate(first_moments(free)):
        course = Course(context, place / f"cut {number}", task, total)
        course.run(moment)
        while len(course.deaths) < DEATHS and course.run(rng.randrange(1, LATER)) == KILLED:
            pass
        assert (course.out / RESULTS).exists() or course.run() == 0
        told = f"seed {SEED}, course {number}, first killed at step {moment}"
        assert course.results() == free.results(), told
        assert course.repeated() == [], told
        course.expect_honest_books()
        points, in_tests = points + len(course.deaths), in_tests + course.deaths_in_tests
        if points >= POINTS:
            break
    assert in_tests >= POINTS / 2


def test_without_a_call_to_spare_it_ends_with_all_that_can_be_tested(
    context: ForkServerContext, place: Path, task: str
) -> None:
    """The searches take all that they may; then every death costs some items of the test, and
    nothing else.
    """
    total = {"target_calls": TESTS + 14, "optimizer_calls": 10}
    calm, course = (Course(context, place / name, task, total) for name in ("calm", "tight"))
    rng = Random(f"tight {SEED}")
    assert calm.run() == 0
    course.run(
        next(one["step"] for one in calm.seen() if one.get("purpose") == "test") + LATER // 2
    )
    while len(course.deaths) < 2 * DEATHS and course.run(rng.randrange(4, LATER // 2)) == KILLED:
        pass
    assert (course.out / RESULTS).exists() or course.run() == 0
    course.expect_honest_books()
    assert course.repeated() == []
    for before, trial in zip(calm.results(), course.results(), strict=True):
        assert (trial["status"], trial["error"], trial["best"]) == (
            before["status"],
            "",
            before["best"],
        )
        marks = trial["seed_prompt_test_marks"] + trial["test_marks"]
        assert len(marks) == 2 * SIZES["test"]
        assert "1" in marks or "0" in marks
