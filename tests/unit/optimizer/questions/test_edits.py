"""Search-and-replace blocks: what is asked for, what is applied, and which fault is named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.operators.edit import edit
from optimizer.operators.new_prompt import MOST_TOKENS, new_prompt, sampling_for
from optimizer.operators.paraphrase import paraphrase
from optimizer.operators.propose import propose
from optimizer.operators.rewrite import rewrite
from optimizer.operators.vary import vary
from optimizer.prompt import Prompt
from optimizer.questions.edits import LONG, MOST_EDITS, changes, read_edited
from optimizer.questions.reply import MAX_PROMPT_CHARACTERS, Unreadable
from optimizer.questions.template import escape
from optimizer.types import Answer, Example, Score
from tests.contracts import kept, toy

OLD = "Be kind.\nAnswer in one line.\nNever guess.\nNever guess twice."
TASK = replace(toy.PROBLEM, seed=Prompt(OLD), keep=("Answer in one line.",))
LONG_ONE = "\n".join(f"Rule {number}: be kind to number {number}." for number in range(100))
ERROR = Answer(Example("1", "in", ("gold",)), "response", Score("wrong", "given"))


def block(search: str, new: str) -> str:
    return f"<edit>\n<search>{escape(search)}</search>\n<replace>{escape(new)}</replace>\n</edit>"


def test_blocks_are_applied_wherever_they_stand() -> None:
    reply = block("twice.", "three times.") + "\n" + block("Be kind.", "Be <prompt> kind.\nListen.")
    assert read_edited(reply, OLD, TASK) == (
        "Be <prompt> kind.\nListen.\nAnswer in one line.\nNever guess.\nNever guess three times."
    )


def test_an_empty_replacement_leaves_the_text_out() -> None:
    assert read_edited(block("Be kind.\n", ""), OLD + "\n", TASK).startswith("Answer in one line.")


def test_a_whole_prompt_is_read_as_well() -> None:
    assert read_edited("<prompt>New. Answer in one line.</prompt>", OLD, TASK).startswith("New.")


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("", "it has no <edit>"),
        ("Be kinder.", "it has no <edit>"),
        ("<edit></edit>", "its edit 1 has 0 <search>"),
        ("<edit><search>a</search></edit>", "its edit 1 has 0 <replace>"),
        (block("", "x"), "the <search> of its edit 1 is empty"),
        (block("Be cruel.", "x"), r"edit 1 \('Be cruel.'\) does not stand in the prompt"),
        (block("Never guess", "x"), "stands in the prompt more than once"),
        (block("one line.", "x"), "is in a fixed part"),
        (block("kind.\nAnswer", "x"), "is in a fixed part"),
        (block("Be kind.", "x") + block("kind.", "y"), "edit 2 .* overlaps"),
        (block("Be kind.", "Answer in one line."), "the fixed part 'Answer in one line.' 2 times"),
        (block("Be kind.", "Be kind."), "change nothing"),
        (block("Be kind.", "x") + " or so", "goes on behind its last </edit>"),
        (block("Be kind.", "x") * (MOST_EDITS + 1), "at most 20 are allowed"),
        (block("Be kind.", "x" * MAX_PROMPT_CHARACTERS), "longer than 6000 characters"),
        (
            block("Be cruel.", "x") + block("one line.", "x"),
            "edit 1 .*; the <search> of its edit 2",
        ),
        ("<think>" + block("Be kind.", "x"), "it has no <edit>"),
        ("<prompt>New.</prompt>", "leaves out or changes the fixed part 'Answer in one line.'"),
    ],
)
def test_a_block_that_cannot_be_applied_is_named(reply: str, fault: str) -> None:
    with pytest.raises(Unreadable, match=fault):
        read_edited(reply, OLD, TASK)


@given(
    reply=st.lists(
        st.sampled_from(
            (
                *("<edit>", "</edit>", "<search>", "</search>", "<replace>", "</replace>"),
                *("Be kind.", "Answer in one line.", "guess", OLD, "x", "\n"),
                *("<prompt>", "</prompt>", "<think>"),
            )
        ),
        max_size=16,
    ).map("".join)
)
def test_what_is_read_of_any_reply_holds_the_fixed_parts(reply: str) -> None:
    try:
        new = read_edited(reply, OLD, TASK)
    except Unreadable:
        return
    assert kept.holds(new, TASK.keep)


@pytest.mark.parametrize("length", [LONG, LONG + 1])
def test_blocks_are_asked_for_where_the_prompt_is_long(length: int) -> None:
    old = "x" * length
    asked = [
        edit("", old, [ERROR], "reason").text,
        vary("", old).text,
        paraphrase(old).text,
        rewrite("", [old], [ERROR], "reason").text,
        propose("", [(old, 50)], [ERROR.example], 500).text,
    ]
    for text in asked:
        assert text.count("\nReply in exactly this form") == 1
        assert ("<search>" in text) == (length > LONG)
        assert text.count(old) == (1 if "Operator: rewrite" not in text or length > LONG else 2)


def test_other_versions_of_a_long_prompt_are_shown_by_what_differs() -> None:
    other = LONG_ONE.replace("Rule 7: be kind", "Rule 7: be <score> strict")
    assert changes(LONG_ONE, other) == (
        "<changes>- Rule 7: be kind to number 7.\n+ Rule 7: be &lt;score> strict to number 7."
        "</changes>"
    )
    shown = propose("", [(other, 40), (LONG_ONE, 60)], [ERROR.example], 500).text
    assert shown.count("Rule 42") == 1
    assert "</changes>\n<score>40</score>\n<prompt>Rule 0" in shown


def test_limits_follow_the_baseline() -> None:
    baseline = "y" * 8_500
    long = replace(toy.PROBLEM, seed=Prompt(baseline))
    question = new_prompt("Ask.\n\nReply in exactly this form:\n<prompt>x</prompt>", long, baseline)
    assert len(question.read(block("y" * 8_500, "z" * 12_750))) == 12_750
    with pytest.raises(Unreadable, match="longer than 12750 characters"):
        question.read(block("y" * 8_500, "z" * 12_751))
    assert sampling_for(toy.PROBLEM, 0.7, 1024).max_tokens == 1024
    assert sampling_for(long, 0.7, 1024).max_tokens == 1024 + 8_500 // 8
    endless = replace(toy.PROBLEM, seed=Prompt("y" * 100_000))
    assert sampling_for(endless, 0.7, 1024).max_tokens == MOST_TOKENS
    assert sampling_for(endless, 0.7, 20_000).max_tokens == 20_000
