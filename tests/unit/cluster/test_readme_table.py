"""README.md shows what the quickstart prints at this version of the code: figure by figure, and
word by word.
"""

import pytest

from tests.contracts import quickstart


@pytest.mark.slow
async def test_the_readme_shows_what_the_quickstart_prints() -> None:
    printed = quickstart.printed(
        await quickstart.replayed(
            quickstart.Recorded(quickstart.target_name(), quickstart.recorded())
        )
    )
    told, again = quickstart.shown(), f"README.md is behind the code; {quickstart.AGAIN}"
    assert len(quickstart.rows(told)) == 18
    assert quickstart.rows(told) == quickstart.rows(printed), again
    assert quickstart.sentences(told) == quickstart.sentences(printed), again


async def test_an_answer_that_nobody_has_recorded_is_told() -> None:
    with pytest.raises(
        AssertionError, match=r"the quickstart takes another course: \d+ answers are not recorded"
    ):
        await quickstart.replayed(quickstart.Recorded(quickstart.target_name(), {}))


def test_the_recorded_answers_are_few_bytes() -> None:
    assert quickstart.ANSWERS.stat().st_size < 1_000_000
