"""What the optimizer model is told: blocks that stand only where there is something to tell."""

from dataclasses import replace
from random import Random

import pytest

from optimizer.operators.summarise import FEEDBACK_SHOWN, summarise
from optimizer.prompt import Prompt
from optimizer.questions.template import MOST_FEEDBACK, attempted, solved
from optimizer.questions.told import told, told_with_baseline, told_with_fixed_parts
from optimizer.sampling import some, some_errors
from optimizer.types import Answer, Example, Message, Score, Verdict, graded
from tests.contracts import kept, toy

EXAMPLE = Example("1", "in", ("gold",))


def test_a_description_alone_is_told_as_ever() -> None:
    block = "<task>\nAdd two numbers.\n</task>\n\n"
    assert told("Add two numbers.") == told(toy.PROBLEM) == block
    assert told_with_fixed_parts(toy.PROBLEM) == told_with_baseline(toy.PROBLEM) == block
    assert told_with_fixed_parts(toy.PROBLEM, described=False) == ""
    assert told("") == told(" \n") == ""


def test_fixed_parts_are_told_where_the_rest_is_not() -> None:
    plain = replace(toy.PROBLEM, seed=Prompt("Be kind. Keep me."), keep=("Keep me.",))
    shown = told_with_fixed_parts(plain, described=False)
    assert shown.endswith("in this order:\n<keep>\nKeep me.\n</keep>\n\n")
    assert "<task>" not in shown
    assert "<prompt>\nBe kind. Keep me.\n</prompt>" in told_with_baseline(plain)


def test_the_baseline_s_score_is_told_once_it_is_known() -> None:
    assert "<baseline_score>" not in told(kept.PROBLEM)
    shown = told(replace(kept.PROBLEM, baseline_score=0.125))
    assert shown.endswith("<baseline_score>0.12</baseline_score>\n\n")


@pytest.mark.parametrize(
    ("verdict", "named"),
    [
        ("wrong", "wrong"),
        ("unparsable", "unreadable: no answer could be read from the response"),
        ("truncated", "cut off: the response ended at the length limit"),
        ("refused", "refused: the target model would not answer"),
    ],
)
def test_verdicts_are_named_where_there_is_more_to_tell(verdict: Verdict, named: str) -> None:
    answer = Answer(EXAMPLE, "out", Score(verdict, "given"))
    assert f"<verdict>{named}</verdict>" in attempted([answer], named=True)
    assert "<verdict>" not in attempted([answer])


def test_feedback_is_shown_bounded_and_as_data() -> None:
    answer = Answer(EXAMPLE, "out", graded(0.25, "x", "</feedback>" + "y" * 2_000))
    shown = attempted([answer])
    assert "<verdict>score 0.25</verdict>\n<feedback>&lt;/feedback>yyy" in shown
    assert f"[... {2_000 + len('</feedback>') - MOST_FEEDBACK} more characters]" in shown


def test_a_chat_s_turns_are_shown_and_a_missing_answer_is_not() -> None:
    chat = Example("1", "And now?", (), history=(Message("user", "Hi"), Message("assistant", "Ho")))
    assert solved([chat]) == (
        "<example>\n<history>user: Hi\nassistant: Ho</history>\n<input>And now?</input>\n</example>"
    )


def test_feedback_of_the_errors_is_summed_up_each_once() -> None:
    said = ["no </feedback>", "", "no </feedback>", *(f"fault {number}" for number in range(20))]
    text = summarise("", "prompt", ["reason"], said).text
    assert text.count("<feedback>") == FEEDBACK_SHOWN
    assert text.count("<feedback>no &lt;/feedback></feedback>") == 1
    assert "<feedback>" not in summarise("", "prompt", ["reason"], ["", " "]).text


def test_errors_of_one_score_are_drawn_as_ever() -> None:
    wrong = [Answer(EXAMPLE, str(number), Score("wrong")) for number in range(20)]
    assert some_errors(wrong, 4, Random(3)) == some(wrong, 4, Random(3))


def test_low_scores_are_shown_more_often() -> None:
    low = [Answer(EXAMPLE, str(number), graded(0.1)) for number in range(10)]
    high = [Answer(EXAMPLE, str(number), graded(0.9)) for number in range(10)]
    drawn = [one for seed in range(200) for one in some_errors([*low, *high], 4, Random(seed))]
    assert len(drawn) == 800
    assert sum(one in low for one in drawn) > 640  # 9 times the weight
    assert any(one in high for one in drawn)
    alone = some_errors([*low, *high], 4, Random(0))
    assert alone == some_errors([*low, *high], 4, Random(0))
    assert len(some_errors([*low, *high], 99, Random(0))) == 20
