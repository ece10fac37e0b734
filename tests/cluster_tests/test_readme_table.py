"""README.md shows what the quickstart prints at this version of the code: figure by figure, and word by word."""

import pytest

from cluster.result import TrialResult
from tests.contracts import quickstart


@pytest.fixture(scope="module")
async def replayed() -> list[TrialResult]:
    return await quickstart.replayed(quickstart.Recorded(quickstart.target_name(), quickstart.recorded()))


async def test_the_readme_shows_what_the_quickstart_prints(replayed: list[TrialResult]) -> None:
    told, printed = quickstart.shown(), quickstart.printed(replayed)
    again = f"README.md is behind the code; {quickstart.AGAIN}"
    assert quickstart.rows(told) == quickstart.rows(printed), again
    assert quickstart.sentences(told) == quickstart.sentences(printed), again


async def test_an_answer_that_nobody_has_recorded_is_told() -> None:
    with pytest.raises(AssertionError, match="the quickstart takes another course: 40 answers are not recorded"):
        await quickstart.replayed(quickstart.Recorded(quickstart.target_name(), {}))


def test_the_recorded_answers_are_few_bytes() -> None:
    assert quickstart.ANSWERS.stat().st_size < 1_000_000
