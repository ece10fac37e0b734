"""Prompts: rendering, JSON both ways, and reading a response back step by step."""

import json
import pickle
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import DataError
from optimizer.prompt import (
    Demonstration,
    Form,
    Prompt,
    Step,
    adherence,
    followed_steps,
    has_form,
    read_trace,
)
from optimizer.types import Message

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
STEPS = st.lists(st.builds(Step, TEXT, st.sampled_from(get_args(Form))), max_size=4).map(tuple)
PROMPTS = st.builds(
    Prompt, TEXT, STEPS, st.lists(st.builds(Demonstration, TEXT, TEXT), max_size=3).map(tuple), TEXT
)
TWO_STEPS = Prompt(
    "Do this.",
    (Step("List them.", "list"), Step("Count them.", "number")),
    closing="End with the answer.",
)


@given(PROMPTS)
def test_json_and_pickle_keep_a_prompt_and_its_id(prompt: Prompt) -> None:
    copy = Prompt.from_json(json.loads(json.dumps(prompt.to_json())))
    assert copy == prompt == pickle.loads(pickle.dumps(prompt))
    assert copy.id == prompt.id


@given(PROMPTS, PROMPTS)
def test_different_prompts_have_different_ids(one: Prompt, other: Prompt) -> None:
    assert (one.id == other.id) == (one == other)


@pytest.mark.parametrize(
    "data", [{}, {"instruction": "x", "steps": [{"words": 1}], "demonstrations": [], "closing": ""}]
)
def test_what_is_no_prompt_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(DataError, match="not a promptray prompt"):
        Prompt.from_json(data)


def test_text_numbers_the_steps_between_instruction_and_closing() -> None:
    assert TWO_STEPS.text() == "Do this.\n1. List them.\n2. Count them.\nEnd with the answer."


def test_rendering_puts_demonstrations_before_the_input() -> None:
    prompt = Prompt("Go.", demonstrations=(Demonstration("in", "out"),))
    assert prompt.render("{input} $x") == (
        Message("system", "Go."),
        Message("user", "in"),
        Message("assistant", "out"),
        Message("user", "{input} $x"),
    )
    assert Prompt().render("x") == (Message("user", "x"),)


@given(PROMPTS.filter(lambda prompt: prompt.steps), STEPS, st.data())
def test_replacing_a_step_leaves_the_others_word_for_word(
    prompt: Prompt, new: tuple[Step, ...], data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(prompt.steps)))
    changed = prompt.with_step(number, *new).steps
    assert changed[: number - 1] == prompt.steps[: number - 1]
    assert changed[number - 1 : number - 1 + len(new)] == new
    assert changed[number - 1 + len(new) :] == prompt.steps[number:]


def test_reading_takes_the_first_block_of_each_number_and_the_last_answer() -> None:
    trace = read_trace("Answer: 1\nStep 1: a; b\nStep 2: 2\nso\nStep 1: again\n**Answer:** 7 \n")
    assert trace.block_by_step == {1: "a; b", 2: "2\nso"}
    assert (trace.order, trace.answer) == ((1, 2), "7")
    assert read_trace("nothing here").answer is None


@given(st.text(max_size=200))
def test_reading_never_raises(text: str) -> None:
    assert all(isinstance(number, int) for number in read_trace(text).order)
    assert len(followed_steps(TWO_STEPS, read_trace(text))) == 2


@pytest.mark.parametrize(
    ("block", "form", "fits"),
    [
        ("", "text", False),
        ("anything", "text", True),
        ("a; b", "list", True),
        ("a;; b", "list", False),
        ("7", "number", True),
        ("so it is -7.", "number", True),
        ("seven", "number", False),
        ("a 1; b 2", "numbers", True),
        ("a 1; b", "numbers", False),
        ("1 left (0,1); x (-2, 3)", "points", True),
        ("1 left; x (2,3)", "points", False),
    ],
)
def test_forms(block: str, form: Form, fits: bool) -> None:
    assert has_form(block, form) is fits


@pytest.mark.parametrize(
    ("response", "followed"),
    [
        ("Step 1: a; b\nStep 2: 2\nAnswer: 2", (True, True)),
        ("Step 2: 2\nStep 1: a; b", (True, False)),
        ("Step 1: a\nAnswer: 1", (True, False)),
        ("Step 1: a;\nStep 2: two", (False, False)),
        ("Answer: 2", (False, False)),
    ],
)
def test_following_means_present_in_order_and_in_form(
    response: str, followed: tuple[bool, bool]
) -> None:
    assert followed_steps(TWO_STEPS, read_trace(response)) == followed


def test_adherence_is_a_share_of_steps_and_responses() -> None:
    assert adherence(TWO_STEPS, ["Step 1: a\nStep 2: 2", "Step 1: a"]) == 0.75
    assert adherence(TWO_STEPS, []) is None
    assert adherence(Prompt("no steps"), ["Step 1: a"]) is None
