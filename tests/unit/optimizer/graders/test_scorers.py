"""What each scorer reads from a response, and what it accepts."""

import json
import pickle
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import DataError
from optimizer.graders.base import score_outcome
from optimizer.graders.graders import GRADERS, grader_named
from optimizer.graders.regex import check_pattern
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from optimizer.types import Completion, Example, Failed

ANSWERS = ("exact", "choice", "number", "regex")
"""The graders that read an answer and compare it."""
NUMBER = Example("n", "?", ("12",))
YES_NO = Example("y", "?", ("Yes",), ("Yes", "No"))
TRUE_FALSE = Example("t", "?", ("True", "Yes"), ("True", "False"))
LETTERED = Example("l", "?", ("(B)",), ("(A) 6pm to 9pm", "(B) 1pm to 2pm", "(C) never"))
BARE_LETTERS = Example("b", "?", ("(b)",), ("(a)", "(b)"))
TEXTS = Example(
    "q", "?", ("What is a car?",), ("What is a cart?", "What is a car?", "Who has a car?")
)
VALID = Example("v", "?", ("invalid",), ("valid", "invalid"))
PARIS = Example("p", "?", ("Paris", "the city of Paris"))
DATE = Example("r", "?", (r"\d{4}-\d\d-\d\d",))


def verdict(name: str, text: str, example: Example, truncated: bool = False) -> str:
    return grader_named(name).score(Completion(text, truncated), example).verdict


@pytest.mark.parametrize(
    "text",
    [
        "Step 1: apple 12\nAnswer: 12",
        "Answer: 12.",
        "Answer: twelve",
        "**Answer:** 12",
        "Answer: 12 apples (3 kinds)",
        "answer: 5 + 7 = 12",
        "Answer: 12 = 5 + 7",
        "Answer: 3\nI was wrong.\nAnswer: 12",
        "The answer is 12.",
        "3 and 9 make 12",
        "So there are twelve.",
        "The answer is 12, since 3 + 9.",
        "Counting one by one I get 12",
        "Answer: 12.0",
        "$12",
        "\\boxed{12}",
        "Final answer: 12",
    ],
)
def test_number_right(text: str) -> None:
    assert verdict("number", text, NUMBER) == "right"


@pytest.mark.parametrize(
    "text",
    [
        "Answer: 13",
        "Answer: -12",
        "12 or rather 13",
        "Answer: 1,200",
        "Answer: 12.5",
        "Answer: thirteen",
    ],
)
def test_number_wrong(text: str) -> None:
    assert verdict("number", text, NUMBER) == "wrong"


def test_number_words_in_targets_count_too() -> None:
    assert verdict("number", "Answer: 21", Example("n", "?", ("twenty-one",))) == "right"


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("Answer: Yes", YES_NO),
        ("Answer: yes.", YES_NO),
        ("Answer: True", YES_NO),
        ("Answer: Yes, you do.", YES_NO),
        ("There are no turns, so yes", YES_NO),
        ("It is not far. The answer is yes.", YES_NO),
        ("Answer: Yes", TRUE_FALSE),
        ("Answer: True", TRUE_FALSE),
        ("Answer: (B)", LETTERED),
        ("Answer: B", LETTERED),
        ("Answer: b)", LETTERED),
        ("Answer: option B", LETTERED),
        ("Answer: (B) 1pm to 2pm", LETTERED),
        ("Answer: 1pm to 2pm", LETTERED),
        ("Answer: **B**", LETTERED),
        ("Not (A), but (B) fits.", LETTERED),
        ("She was free from 1pm to 2pm", LETTERED),
        ("Answer: B. She was free", LETTERED),
        ("Answer: (b)", BARE_LETTERS),
        ("Answer: B", BARE_LETTERS),
        ("Answer: (B)", TEXTS),
        ("Answer: what is a car", TEXTS),
        ("Answer: What is a car?", TEXTS),
        ('The best question is "What is a car?"', TEXTS),
        ("Answer: invalid", VALID),
        ("It is not valid. It is invalid.", VALID),
    ],
)
def test_choice_right(text: str, example: Example) -> None:
    assert verdict("choice", text, example) == "right"


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("Answer: No", YES_NO),
        ("Answer: False", YES_NO),
        ("Answer: No", TRUE_FALSE),
        ("Answer: A", LETTERED),
        ("Answer: never", LETTERED),
        ("Answer: What is a cart?", TEXTS),
        ("Answer: C", TEXTS),
        ("Answer: valid", VALID),
        ("Yes, I think. Answer is no", YES_NO),
    ],
)
def test_choice_wrong(text: str, example: Example) -> None:
    assert verdict("choice", text, example) == "wrong"


def test_a_is_an_article_where_the_choices_are_yes_and_no() -> None:
    assert verdict("choice", "A", YES_NO) == "unparsable"


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("There is no reason to think so.", YES_NO),
        ("I have no idea.", YES_NO),
        ("Yes or no, I cannot say.", YES_NO),
        ("It is not true.", YES_NO),
        ("Sorry, I can't help with that as a language model.", LETTERED),
        ("The options are (A) 6pm to 9pm, (B) 1pm to 2pm and (C) never.", LETTERED),
        ("It is (A) or (B).", LETTERED),
        ("Answer: (A) or (B)", LETTERED),
        ("Answer: A circle", BARE_LETTERS),
        ("Answer: Yes/No", YES_NO),
        ("First I look at (B).\n\nI cannot tell.", LETTERED),
        ("The answer is a matter of taste.", BARE_LETTERS),
    ],
)
def test_a_mention_is_no_choice(text: str, example: Example) -> None:
    assert verdict("choice", text, example) == "unparsable"


@pytest.mark.parametrize(
    "text",
    [
        "Answer: 12:30",
        "Answer: 12 or 13",
        "Answer: 12-15",
        "Answer: 12, 13",
        "There are 11 or 12.",
        "<think>It is 12.",
        "Let me count: 12.\n\nI am not sure.",
    ],
)
def test_a_number_that_nobody_gives_as_the_answer_is_unparsable(text: str) -> None:
    assert verdict("number", text, NUMBER) == "unparsable"


@pytest.mark.parametrize(
    "text",
    [
        "Answer:\n12",
        "### Final Answer: 12",
        "> **Answer**: 12",
        "**Final Answer**\n\\boxed{12}",
        "<answer>12</answer>",
        '```json\n{"answer": 12}\n```',
        "#### 12",
        "<think>Answer: 3</think>\n12",
        "The total is 12.\n\nShall I do question 3 too?",
        "There are 12 of them.\n\nLet me know if you need 3 more!",
        "The answer is **12**.",
        "The final answer is: $\\boxed{12}$.",
    ],
)
def test_an_answer_in_another_form_is_read(text: str) -> None:
    assert verdict("number", text, NUMBER) == "right"


def test_an_answer_of_several_lines_is_read_whole() -> None:
    poem = Example("m", "?", ("roses are red\nviolets are blue",))
    for text in (
        "Answer: Roses are red\nViolets are blue",
        "Answer:\nRoses are red\nViolets are blue",
        "```\nRoses are red\nViolets are blue\n```",
    ):
        assert verdict("exact", text, poem) == "right"
    assert verdict("exact", "Answer: Roses are red", poem) == "wrong"


def test_true_is_not_yes_where_both_are_choices() -> None:
    odd = Example("o", "?", ("Yes",), ("Yes", "No", "True", "False"))
    assert (verdict("choice", "Answer: True", odd), verdict("choice", "Answer: Yes", odd)) == (
        "wrong",
        "right",
    )


def test_a_choice_inside_another_does_not_hide_it() -> None:
    wine = Example("w", "?", ("red wine",), ("red", "red wine", "white"))
    assert verdict("choice", "She had red wine there.", wine) == "right"
    assert verdict("choice", "It was red and nothing else.", wine) == "wrong"


def test_a_target_that_is_none_of_the_choices_can_still_be_given() -> None:
    broken = Example("m", "?", ("Monsters, Inc",), ("(A) Monsters", "(B) Inc"))
    assert (
        verdict("choice", "Answer: Monsters, Inc", broken),
        verdict("choice", "Answer: (A)", broken),
    ) == ("right", "wrong")


@pytest.mark.parametrize(
    "text",
    [
        "Answer: Paris",
        "Answer:  the  CITY of paris.",
        "I think\nParis",
        'Answer: "Paris"',
        "The answer is Paris.",
    ],
)
def test_exact_right(text: str) -> None:
    assert verdict("exact", text, PARIS) == "right"


def test_exact_is_exact() -> None:
    assert verdict("exact", "Answer: Paris, France", PARIS) == "wrong"
    assert verdict("exact", "Answer: ) ] }", Example("d", "?", (") ] }",))) == "right"


def test_regex_matches_from_end_to_end() -> None:
    assert verdict("regex", "Answer: 2024-02-29", DATE) == "right"
    assert verdict("regex", "so\n2024-02-29", DATE) == "right"
    assert verdict("regex", "Answer: on 2024-02-29", DATE) == "wrong"


@pytest.mark.parametrize(
    ("name", "example"),
    [("exact", PARIS), ("number", NUMBER), ("choice", LETTERED), ("regex", DATE)],
)
def test_unparsable_and_truncated_and_failures(name: str, example: Example) -> None:
    assert verdict(name, "", example) == "unparsable"
    assert verdict(name, "Step 1: twelve (B) Paris 12 (B)", example, truncated=True) == "truncated"
    assert verdict(name, "Answer: zzz\nand so", example, truncated=True) in ("wrong", "unparsable")
    grader = grader_named(name)
    assert score_outcome(grader, Failed("infrastructure", "gone"), example).value is None
    assert score_outcome(grader, Failed("refused", "I cannot"), example).verdict == "refused"
    assert score_outcome(grader, Failed("refused", "I cannot"), example).value == 0.0


def test_nothing_to_read_is_unparsable_and_keeps_no_answer() -> None:
    score = grader_named("number").score(Completion("Answer: I do not know"), NUMBER)
    assert (score.verdict, score.answer, score.value) == ("unparsable", "", 0.0)


def test_the_answer_that_was_read_is_kept() -> None:
    assert grader_named("number").score(Completion("Answer: 1,200 things"), NUMBER).answer == "1200"
    assert (
        grader_named("choice").score(Completion("Answer: a"), LETTERED).answer == "(A) 6pm to 9pm"
    )


@given(
    st.text(max_size=300),
    st.sampled_from(ANSWERS),
    st.sampled_from([NUMBER, YES_NO, TRUE_FALSE, LETTERED, TEXTS, PARIS, DATE]),
)
def test_no_response_raises(text: str, name: str, example: Example) -> None:
    for response in (text, f"Answer: {text}", f"Step 1: {text}\nAnswer: {text}"):
        score = grader_named(name).score(Completion(response), example)
        assert score.verdict in ("right", "wrong", "unparsable")
        assert bool(score.answer) == (score.verdict != "unparsable")


@given(st.integers(-(10**7), 10**7))
def test_every_integer_is_read_back(number: int) -> None:
    example = Example("i", "?", (str(number),))
    for form in (
        f"Answer: {number}",
        f"Answer: {number:,}",
        f"so it is\n{number}",
        f"The answer is {number}.",
    ):
        assert verdict("number", form, example) == "right"


@pytest.mark.parametrize("name", ANSWERS)
def test_long_responses_take_no_long_time(name: str) -> None:
    started = time.perf_counter()
    for text in (
        "1" * 200_000,
        "answer " * 40_000,
        "(A) " * 60_000,
        "one " * 60_000,
        "Answer: " + "-1," * 60_000,
        "Answer: " + "\\text{" * 3_000 + "12" + "}" * 3_000,
        "Answer: 12" + ".*" * 10_000,
    ):
        verdict(name, text, LETTERED if name == "choice" else NUMBER)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [(r"(a)\1", "refers back"), ("a(?=b)", "looks ahead"), ("(", "not a regular expression")],
)
def test_patterns_that_cannot_be_used_are_refused(pattern: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        check_pattern(pattern, "demo/3")


@pytest.mark.parametrize(
    "pattern", [r"(?i)yes|no", r"(\d{4})-(\d\d)", r"(ab)+", r"a+b*", r"\(a+\)+", "(a+)+b"]
)
def test_harmless_patterns_pass(pattern: str) -> None:
    check_pattern(pattern, "demo/3")


def test_scorers_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(GRADERS)) == GRADERS


CASES = Path(__file__).parents[5] / "shared" / "cases"
RIGHT_SHARE_BY_CASE = {
    "01-think": {"line": 1.0, "said": 1.0, "letter": 1.0},
    "02-bold-label": {"bold": 1.0, "finalbold": 1.0},
    "03-decorated": {"boxed": 1.0, "tag": 1.0, "fence": 1.0, "json": 1.0, "sentence": 1.0},
    "04-article-a": {"letters": 1.0, "refusals": 0.0},
    "07-number-false-right": {
        "fraction": 0.0,
        "million": 0.0,
        "minus": 0.0,
        "negmoney": 0.0,
        "sci": 0.0,
    },
    "06-number-forms": dict.fromkeys(
        (
            "minus",
            "endash",
            "negmoney",
            "leaddot",
            "sci",
            "power",
            "million",
            "space",
            "latex",
            "decimalcomma",
            "fraction",
            "frac",
            "fullwidth",
            "trailing",
        ),
        1.0,
    ),
    "09-unicode": {"dots": 1.0, "nfd": 1.0, "quotes": 1.0},
    "16-gsm8k": {"gsm": 1.0},
}


@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case, shares in RIGHT_SHARE_BY_CASE.items() for name in shares],
)
def test_answers_as_people_write_them(case: str, name: str) -> None:
    if not CASES.is_dir():
        pytest.skip("the cases are not beside the project")
    response_by_input = json.loads((CASES / case / "truth.json").read_text())
    task = load_task(str(CASES / case / f"{name}.jsonl"), sizes=Sizes(2, 2, 4), seed=0)
    grader = task.grader.build()
    examples = (*task.train, *task.dev, *task.test.single_reading().read())
    scores = [
        grader.score(Completion(response_by_input[example.input]), example).value
        for example in examples
    ]
    assert sum(score or 0.0 for score in scores) / len(scores) == RIGHT_SHARE_BY_CASE[case][name]
