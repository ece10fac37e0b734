"""Worked examples are read into input, steps and answer, and nothing of them is lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.analysis.worked_examples import parts_of
from cluster.results.markdown import best_prompt_page
from cluster.results.page import report_page
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate
from optimizer.prompt import Demonstration, Prompt, Step, read_trace

LINES = st.lists(
    st.sampled_from(
        [
            "Step 1: 3 forward; 3 backward",
            "Step 2: (0, 3)",
            "step 3: x",
            "  Step 2 : again",
            "Answer: yes",
            "**Answer**: no",
            "",
            "   ",
            "So the position is",
            "_a_ *b* `c`",
            "Step 10: ten",
            "<b>",
        ]
    ),
    max_size=8,
).map("\n".join)


@given(LINES | st.text())
def test_nothing_of_a_response_is_lost(response: str) -> None:
    parts = parts_of(response)
    assert "".join(part.whole for part in parts) == response
    assert all(part.text in part.whole for part in parts)


@given(LINES)
def test_steps_and_answer_are_those_that_are_read(response: str) -> None:
    trace, parts = read_trace(response), parts_of(response)
    blocks: dict[int, str] = {}
    for part in parts:
        if part.label.startswith("Step "):
            blocks.setdefault(int(part.label.removeprefix("Step ")), part.text.strip())
    assert blocks == trace.block_by_step
    answers = [part for part in parts if part.label == "Answer"]
    assert len(answers) == (trace.answer is not None)


def test_a_worked_example_reads_as_steps_and_an_answer() -> None:
    parts = parts_of("Step 1: 3 forward;\n3 backward\nStep 2: (0, 0)\nAnswer: yes")
    assert [(part.label, part.text) for part in parts] == [
        ("Step 1", "3 forward;\n3 backward"),
        ("Step 2", "(0, 0)"),
        ("Answer", "yes"),
    ]


def test_a_response_without_steps_is_shown_whole() -> None:
    assert [(part.label, part.text) for part in parts_of("It\nis so.")] == [
        ("Response", "It\nis so.")
    ]
    assert parts_of("") == ()


SHOWN = Demonstration(
    "Take 3 steps.\nOptions:\n- Yes\n- No",
    "Step 1: 3 forward\nStep 2: (0, 3) is not (0, 0)\nAnswer: No",
)


@pytest.fixture
def shown(result: TrialResult) -> TrialResult:
    best = Candidate(
        Prompt("Do it.", (Step("Move."), Step("Compare.")), (SHOWN,)),
        "demonstrate",
        1,
        result.seed_prompt.id,
    )
    return replace(result, best=best)


def test_the_page_of_a_prompt_shows_examples_line_by_line(shown: TrialResult) -> None:
    page = best_prompt_page(shown)
    example = page.partition("## Demonstrations")[2].partition("## ")[0]
    wanted = (
        "### Demonstration 1",
        "Take 3 steps.\nOptions:\n- Yes\n- No\n",
        "**Step 1**",
        "3 forward\n",
        "**Answer**",
        "No\n",
    )
    for told in wanted:
        assert told in page.partition("## Demonstrations")[2]
    assert '"input"' not in example


def test_the_report_shows_examples_line_by_line(shown: TrialResult) -> None:
    page = report_page([shown], {})
    section = page.partition("with 1 demonstration")[2].partition("</details>")[0]
    labels = [part.partition("</dt>")[0] for part in section.split("<dt>")[1:]]
    assert labels == ["Input", "Step 1", "Step 2", "Answer"]
    assert "Take 3 steps.\nOptions:\n- Yes\n- No</dd>" in section


def test_the_page_of_a_prompt_says_on_which_items_its_figures_are(result: TrialResult) -> None:
    page = best_prompt_page(result)
    tested = (
        "Test accuracy: 0.94 (95% Wilson interval 0.89 to 0.97) on 150 items; baseline 0.52 on the same "
        "items; verdict: better"
    )
    assert tested in page
    assert "Dev accuracy: 0.93 on 80 items" in page or "Dev accuracy: 0.92 on 80 items" in page
    assert "Test accuracy: not tested" in best_prompt_page(replace(result, test_accuracy=None))
