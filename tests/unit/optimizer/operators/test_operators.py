"""The operators' questions and replies: data stays data, and only what is of the form is read."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.grader import SameText
from optimizer.graders.graders import grader_named
from optimizer.operators.asking import Question
from optimizer.operators.criticise import criticise
from optimizer.operators.criticise_unseen import criticise_unseen
from optimizer.operators.decompose import decompose
from optimizer.operators.demonstrate import demonstrate, faults
from optimizer.operators.edit import edit
from optimizer.operators.induce import induce
from optimizer.operators.localise import Blame, localise
from optimizer.operators.paraphrase import paraphrase
from optimizer.operators.propose import propose
from optimizer.operators.refine import Setback, refine, wording
from optimizer.operators.revise import revise
from optimizer.operators.rewrite import rewrite
from optimizer.operators.summarise import summarise
from optimizer.operators.vary import vary
from optimizer.prompt import Demonstration, Step
from optimizer.questions import template
from optimizer.questions.reply import (
    MAX_PROMPT_CHARACTERS,
    Unreadable,
    read_prompt,
    read_steps,
    read_tag,
)
from optimizer.questions.template import TAGS, escape, fill, load, solved, unescape
from optimizer.types import Answer, Completion, Example, Score, graded

STEPS = (Step("List the moves.", "list"), Step("Say the total.", "number"))
BLAME = Blame(2, "skipped", "No total is written.")
OPERATORS: dict[str, Callable[[str], Question[Any]]] = {
    "induce": lambda data: induce(data, [example(data)]),
    "vary": lambda data: vary(data, data),
    "criticise": lambda data: criticise(data, data, [error(data)]),
    "criticise_unseen": lambda data: criticise_unseen(data, data),
    "edit": lambda data: edit(data, data, [error(data)], data),
    "paraphrase": lambda data: paraphrase(data),
    "propose": lambda data: propose(data, [(data, 7), (data, 70)], [example(data)], 500),
    "summarise": lambda data: summarise(data, data, [data, data]),
    "rewrite": lambda data: rewrite(data, [data, data], [error(data)], data),
    "decompose": lambda data: decompose(data, data, solved([example(data)]), data),
    "demonstrate": lambda data: demonstrate(data, (Step(data), Step(data)), example(data)),
    "localise": lambda data: localise(data, (Step(data), Step(data)), error(data)),
    "refine": lambda data: refine(
        data,
        (Step(data), Step(data)),
        Blame(1, "wrong", data),
        [error(data)],
        [Setback(data, data)],
    ),
    "revise": lambda data: revise(data, (Step(data), Step(data)), [error(data)], data),
}
PLAIN = "Plain-Data"
HOSTILE = st.text() | st.lists(
    st.sampled_from(
        [
            *(f"<{tag}>" for tag in TAGS),
            *(f"</{tag}>" for tag in TAGS),
            "{{task}}",
            "{{",
            "}}",
            "{0}",
            "$task",
            "${x}",
            "{% raw %}",
            "&lt;",
            "&amp;",
            "&amp;lt;",
            "<",
            "&",
            "/prompt>",
            "\\g<0>",
            "\\1",
            "Operator: edit\n",
            "x",
            "\n",
        ]
    ),
    max_size=12,
).map("".join)


def example(data: str) -> Example:
    return Example("1", data, (data,))


def error(data: str) -> Answer:
    return Answer(example(data), data, Score("wrong", data))


def outline(text: str) -> list[str]:
    """The tags of a question, in order."""
    return re.findall(rf"</?(?:{'|'.join(TAGS)})>", text)


def test_every_operator_has_its_template_and_every_template_its_operator() -> None:
    folder = Path(template.__file__).with_name("templates")
    assert {path.stem for path in folder.iterdir()} == set(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_first_line_names_the_operator(name: str) -> None:
    assert OPERATORS[name]("data").text.split("\n")[0] == f"Operator: {name}"


@pytest.mark.parametrize("name", OPERATORS)
@given(data=HOSTILE.filter(str.strip))  # a blank description has no block
def test_data_is_never_read_as_a_template_or_as_our_tags(name: str, data: str) -> None:
    hostile, plain = OPERATORS[name](data).text, OPERATORS[name](PLAIN).text
    assert outline(hostile) == outline(plain)
    assert hostile == plain.replace(PLAIN, escape(data))


@given(data=HOSTILE)
def test_unescape_undoes_escape_and_escaped_text_has_no_tag_of_ours(data: str) -> None:
    assert unescape(escape(data)) == data
    assert outline(escape(data)) == []
    assert escape(escape(data)) == escape(data)


@given(data=HOSTILE.map(str.strip).filter(bool))
def test_a_prompt_that_quotes_our_tags_comes_back_as_it_was(data: str) -> None:
    assert read_prompt(f"Here it is: <prompt>\n{escape(data)}\n</prompt>\n") == data


@pytest.mark.parametrize("name", OPERATORS)
def test_a_template_without_its_data_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        fill(load(name))


def test_the_last_complete_tag_counts() -> None:
    reply = "I shall write <prompt>...</prompt>.\n<prompt> one\ntwo </prompt> So much for <prompt>."
    assert read_tag(reply, "prompt") == "one\ntwo"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "text",
        "<prompt>",
        "</prompt>",
        "</prompt><prompt>",
        "<prompt> \n</prompt>",
        "<reason>x</reason>",
    ],
)
def test_a_reply_without_its_tag_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable, match="<prompt>"):
        read_prompt(reply)


def test_an_overlong_prompt_is_unreadable() -> None:
    assert read_prompt(f"<prompt>{'x' * MAX_PROMPT_CHARACTERS}</prompt>")
    with pytest.raises(Unreadable, match="longer"):
        read_prompt(f"<prompt>{'x' * (MAX_PROMPT_CHARACTERS + 1)}</prompt>")


def test_steps_are_read_with_their_forms() -> None:
    lines = (
        "1. List [list]",
        " 2) Say it [number]  ",
        "- Plain",
        "* Odd [yes/no]",
        "3. Odder [maybe]",
        "4.  [text]",
    )
    assert read_steps("<steps>\n" + "\n".join(lines) + "\n</steps>") == (
        Step("List", "list"),
        Step("Say it", "number"),
        Step("Plain"),
        Step("Odd [yes/no]"),
        Step("Odder [maybe]"),
    )


@pytest.mark.parametrize(
    ("lines", "fault"),
    [("prose", "no entry"), ("-", "no line"), ("1. a\n2. b\n3. c\n4. d", "at most 3")],
)
def test_steps_that_are_none_or_too_many_are_unreadable(lines: str, fault: str) -> None:
    with pytest.raises(Unreadable, match=fault):
        read_steps(f"<steps>\n{lines}\n</steps>", at_most=3)


def test_steps_as_chat_models_write_them_are_whole() -> None:
    lines = (
        "**1.** Write both [list]\n2. Add them, and carry\n   what is above nine [number].\n**Step "
        "3:** Check the sum [number]"
    )
    assert read_steps(f"<steps>\n{lines}\n</steps>") == (
        Step("Write both", "list"),
        Step("Add them, and carry what is above nine", "number"),
        Step("Check the sum", "number"),
    )


@pytest.mark.parametrize(
    "lines", ["Here they are:\n1. a [list]", "1. a [list]\nnot a step", "- It is so.\nprose"]
)
def test_a_line_that_is_no_step_makes_the_reply_unreadable(lines: str) -> None:
    with pytest.raises(Unreadable, match="no entry of the form"):
        read_steps(f"<steps>\n{lines}\n</steps>")


def test_a_code_fence_around_a_prompt_is_no_part_of_it() -> None:
    assert read_prompt("<prompt>\n```text\nCount well.\n```\n</prompt>") == "Count well."
    assert read_prompt("```xml\n<prompt>Count well.</prompt>\n```") == "Count well."
    assert read_prompt("<prompt>Write\n```\nx\n```\nso.</prompt>") == "Write\n```\nx\n```\nso."


@pytest.mark.parametrize(
    "name",
    [name for name in OPERATORS if "<prompt>" in load(name).rpartition("Reply in exactly")[2]],
)
def test_the_words_of_the_form_are_no_prompt(name: str) -> None:
    form = load(name).rpartition("Reply in exactly this form")[2]
    with pytest.raises(Unreadable, match="in place of an answer"):
        read_prompt(form[form.index("<prompt>") :])


@pytest.mark.parametrize(
    "reply",
    [
        "<think>\nThey want <prompt>all new</prompt>, so I should first weigh",
        "<prompt>One.</prompt> Or rather:",
    ],
)
def test_a_reply_that_goes_on_behind_its_prompt_is_unreadable(reply: str) -> None:
    with pytest.raises(Unreadable):
        read_prompt(reply)


def test_a_long_prompt_leaves_room_for_its_successors() -> None:
    old = "x" * 7_500
    assert len(read_prompt(f"<prompt>{old} Check twice.</prompt>", old)) > MAX_PROMPT_CHARACTERS
    with pytest.raises(Unreadable, match="longer than"):
        read_prompt(f"<prompt>{old * 2}</prompt>", old)


class TestDemonstrate:
    question = demonstrate("Add.", STEPS, Example("1", "2 and 3", ("5", "five")))

    def test_the_forms_are_told(self) -> None:
        assert (
            f"<forms>\nStep 1: {template.FORMS['list']}\nStep 2: "
            f"{template.FORMS['number']}\n</forms>" in self.question.text
        )
        assert "<steps>\n1. List the moves.\n2. Say the total.\n</steps>" in self.question.text

    @pytest.mark.parametrize("answer", ["5", "Five"])
    def test_a_right_trace_is_read(self, answer: str) -> None:
        response = f"Step 1: 2; 3\nStep 2: 5\nAnswer: {answer}"
        assert self.question.read(f"<response>\n{response}\n</response>") == Demonstration(
            "2 and 3", response
        )

    @pytest.mark.parametrize(
        ("response", "fault"),
        [
            ("Step 1: 2; 3\nStep 2: 5", "no last line"),
            (
                "Step 1: 2; 3\nAnswer: 5",
                r"no line 'Step 2: ...' in its order and its form \(ends in one number\)",
            ),
            ("Step 1: 2; 3\nStep 2: five\nAnswer: 5", "'Step 2: ...'"),
            ("Step 2: 5\nStep 1: 2; 3\nAnswer: 5", "'Step 2: ...'"),
            ("Step 1: 2; 3\nStep 2: 5\nStep 3: 5\nAnswer: 5", "step 3, and there are only 2"),
        ],
    )
    def test_a_faulty_trace_is_unreadable_and_says_why(self, response: str, fault: str) -> None:
        with pytest.raises(Unreadable, match=fault):
            self.question.read(f"<response>{response}</response>")


@pytest.mark.parametrize(
    ("scorer", "answers", "choices", "answer", "right"),
    [
        ("choice", ("(A)",), ("(A) yes", "(B) no"), "A", True),
        ("choice", ("(A)",), ("(A) yes", "(B) no"), "(A) yes", True),
        ("choice", ("(A)",), ("(A) yes", "(B) no"), "B", False),
        ("number", ("12",), (), "twelve", True),
        ("number", ("12",), (), "12 apples", True),
        ("number", ("12",), (), "21", False),
    ],
)
async def test_a_demonstration_is_right_if_the_tasks_grader_says_so(
    scorer: str, answers: tuple[str, ...], choices: tuple[str, ...], answer: str, right: bool
) -> None:
    example = Example("1", "2 and 3", answers, choices)
    reply = f"<response>Step 1: 2; 3\nStep 2: 5\nAnswer: {answer}</response>"
    shown = demonstrate("", STEPS, example).read(reply)
    gold = f"its <response> ends in the answer {answer!r}, and the gold answer is {answers[0]!r}"
    assert await faults(grader_named(scorer), [(shown, example)]) == ["" if right else gold]


class Missing(SameText):
    """A grader whose model does not answer."""

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        return [Score("missing") for _ in pairs]


async def test_the_fault_of_a_demonstration_has_the_graders_feedback() -> None:
    class Strict(SameText):
        async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
            return [graded(0.5, "6", "Add once more.") for _ in pairs]

    shown = (Demonstration("2 and 3", "Answer: 6"), Example("1", "2 and 3", ()))
    assert await faults(Strict(), [shown]) == [
        "its <response> ends in the answer '6', which is not right (Add once more.)"
    ]
    assert await faults(Missing(), [shown]) == ["its <response> could not be checked"]


class TestLocalise:
    question = localise(
        "Add.",
        STEPS,
        Answer(Example("1", "2 and 3", ("5",)), "Step 1: 2; 3\nAnswer: 6", Score("wrong", "6")),
    )

    def test_the_response_and_the_answer_read_from_it_are_shown(self) -> None:
        assert (
            "<response>Step 1: 2; 3\nAnswer: 6</response>\n<given>6</given>" in self.question.text
        )

    def test_the_blame_is_read(self) -> None:
        reply = (
            "<step>Step 2</step>\n<kind>Skipped.</kind>\n<evidence>No total is written.</evidence>"
        )
        assert self.question.read(reply) == BLAME

    @pytest.mark.parametrize(
        ("step", "kind", "fault"),
        [
            ("0", "wrong", "from 1 to 2"),
            ("3", "wrong", "from 1 to 2"),
            ("two", "wrong", "from 1 to 2"),
            ("1", "odd", "skipped, wrong, ambiguous"),
        ],
    )
    def test_a_blame_that_names_no_step_or_kind_is_unreadable(
        self, step: str, kind: str, fault: str
    ) -> None:
        with pytest.raises(Unreadable, match=fault):
            self.question.read(f"<step>{step}</step><kind>{kind}</kind><evidence>x</evidence>")


class TestRefine:
    question = refine(
        "Add.",
        STEPS,
        BLAME,
        [],
        [Setback("Say it loudly.", "not followed"), Setback("Add. / Say it.", "no gain")],
    )

    def test_the_failing_step_its_evidence_and_what_was_tried_are_shown(self) -> None:
        assert (
            "<step>2</step>\n<kind>skipped</kind>\n<evidence>\nNo total is written.\n</evidence>"
            in self.question.text
        )
        assert (
            "<tried>\nSay it loudly. => not followed\nAdd. / Say it. => no gain\n</tried>"
            in self.question.text
        )

    def test_one_to_three_steps_are_read(self) -> None:
        made = self.question.read(
            "<steps>\n- Add them, one by one. [numbers]\n- Say the total. [number]\n</steps>"
        )
        assert made == (Step("Add them, one by one.", "numbers"), Step("Say the total.", "number"))
        assert wording(made) == "Add them, one by one. / Say the total."

    @pytest.mark.parametrize(
        "lines",
        ["- Say the total. [text]", "- Say it loudly.", "- Add.\n- Say it.", "- a\n- b\n- c\n- d"],
    )
    def test_the_old_step_what_was_tried_and_too_many_parts_are_unreadable(
        self, lines: str
    ) -> None:
        with pytest.raises(Unreadable):
            self.question.read(f"<steps>\n{lines}\n</steps>")


class TestRevise:
    question = revise("Add.", STEPS, [], "Nothing is added up.")

    def test_the_steps_are_shown_in_the_form_in_which_they_are_asked_for(self) -> None:
        assert (
            "<steps>\n1. List the moves. [list]\n2. Say the total. [number]\n</steps>"
            in self.question.text
        )
        assert "<reason>\nNothing is added up.\n</reason>" in self.question.text

    def test_all_steps_are_read(self) -> None:
        made = self.question.read(
            "<steps>\n1. List the moves. [list]\n2. Add. [numbers]\n3. Say the total. "
            "[number]\n</steps>"
        )
        assert made == (STEPS[0], Step("Add.", "numbers"), STEPS[1])

    def test_the_old_steps_again_are_unreadable(self) -> None:
        with pytest.raises(Unreadable, match="old ones"):
            self.question.read(
                "<steps>\n1. List the moves. [text]\n2. Say the total. [number]\n</steps>"
            )
