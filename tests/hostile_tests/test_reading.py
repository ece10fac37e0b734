"""Whatever is read of a text from outside: nothing but Unreadable is raised, in time that grows with the text's length alone."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.report.diff import word_diff
from optimizer.errors import DataError
from optimizer.operators.reply import Unreadable, read_causes, read_prompt, read_steps
from optimizer.operators.template import attempted, escape, solved, unescape
from optimizer.prompt import Prompt as PromptOf
from optimizer.prompt import Step, followed_steps, has_form, read_trace
from optimizer.tasks.choices import choice_concluded
from optimizer.tasks.files import _options
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.generated.faults import first_fault
from optimizer.tasks.patterns import why_unsafe
from optimizer.tasks.scorers import SCORERS, check_pattern
from optimizer.types import Completion, Example, Message, Request
from serving.engines.metaprompt import Query
from serving.engines.rulebook import RulebookEngine
from serving.engines.rules import RULES
from tests.contracts import hostile
from tests.hostile_tests.growing import AT_ONCE_S, FOUR_TIMES, check_linear, cpu_seconds
from tests.strategy_tests.test_operators import OPERATORS, error, example

CHOICES = Example("1", "?", ("yes",), ("yes", "no"))
NUMBER = Example("1", "?", ("5",))
FORMS = ("text", "list", "number", "numbers", "points")


def readable(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def tolerant(text: str) -> None:
        try:
            read(text)
        except Unreadable:
            return

    return tolerant


READINGS: dict[str, Callable[[str], Any]] = {
    "trace": read_trace,
    "forms": lambda text: [has_form(text, form) for form in FORMS],
    "followed": lambda text: followed_steps(PromptOf(steps=tuple(Step("x", form) for form in FORMS)), read_trace(text)),
    "prompt": readable(read_prompt),
    "steps": readable(lambda text: read_steps(f"<steps>{text[:19_000]}</steps>")),
    "causes": readable(lambda text: read_causes(f"<causes>{text[:19_000]}</causes>")),
    "escape": lambda text: unescape(escape(text)),
    "options": _options,
    "exact": lambda text: SCORERS["exact"](Completion(text), CHOICES),
    "choice": lambda text: SCORERS["choice"](Completion(text), CHOICES),
    "number": lambda text: SCORERS["number"](Completion(text), NUMBER),
    "regex": lambda text: SCORERS["regex"](Completion(text), Example("1", "?", (r"\s*a+\s*b*",))),
    "choices": lambda text: choice_concluded(text, ("yes", "no", text)),
    "query": lambda text: Query(f"Operator: edit\n{text}\nReply in exactly this form", Random(0), 0.0),
}


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("before", ["", "Answer: a", "answer is", "- a", "1. a [", "Options:\n- a", "I have ", "<prompt>"])
def test_no_text_takes_more_than_its_length(name: str, before: str) -> None:
    for _, unit, after in (one for one in hostile.STRETCHED if one[0] == before):
        text_by_length = {length: before + unit * (length // len(unit)) + after for length in (36, 100, 5_000, 20_000)}
        took_s = {length: cpu_seconds(READINGS[name], text) for length, text in text_by_length.items()}
        assert max(took_s[36], took_s[100]) < AT_ONCE_S, (before, unit, after)
        assert took_s[20_000] < FOUR_TIMES * took_s[5_000] + AT_ONCE_S, (before, unit, after)


@pytest.mark.slow
@pytest.mark.parametrize("name", READINGS)
def test_a_megabyte_takes_about_ten_times_as_long_as_a_tenth_of_it(name: str) -> None:
    for before, unit, after in (("Answer: a", " ", "b"), ("- a", " ", "b"), ("", "<prompt>", ""), ("I have ", "1", "")):
        check_linear(READINGS[name], lambda length, b=before, u=unit, a=after: b + u * (length // len(u)) + a)


@pytest.mark.parametrize("name", READINGS)
@given(text=hostile.HOSTILE)
def test_no_text_raises(name: str, text: str) -> None:
    READINGS[name](text)


@pytest.mark.parametrize("name", OPERATORS)
@given(reply=hostile.HOSTILE, tag=st.sampled_from(["prompt", "reason", "steps", "response", "causes", "step", "kind", "evidence"]))
def test_a_hostile_reply_is_read_or_unreadable(name: str, reply: str, tag: str) -> None:
    question = OPERATORS[name]("data")
    for text in (reply, f"<{tag}>{reply}</{tag}>", f"<step>1</step><kind>wrong</kind><evidence>{reply}</evidence>"):
        readable(question.read)(text)


@pytest.mark.parametrize("tag", ["prompt", "reason", "steps", "response", "causes", "evidence"])
def test_a_megabyte_of_reply_is_unreadable_in_every_operator(tag: str) -> None:
    for make in OPERATORS.values():
        with pytest.raises(Unreadable):
            make("data").read(f"<step>1</step><kind>wrong</kind><{tag}>- {hostile.LONG}</{tag}>")


def test_a_question_shows_a_part_of_a_megabyte_and_says_so() -> None:
    for text in (solved([example(hostile.LONG)]), attempted([error(hostile.LONG)])):
        assert len(text) < 100_000
        assert "more characters]" in text


@pytest.mark.parametrize("operator", RULES)
@given(data=hostile.HOSTILE)
async def test_the_rulebook_answers_any_question(operator: str, data: str) -> None:
    for text in (f"Operator: {operator}\n{data}", OPERATORS[operator](data).text):
        (outcome,) = await RulebookEngine(prior_bias=0.0).complete([Request((Message("user", text),))])
        assert isinstance(outcome, Completion)


@pytest.mark.parametrize("name", GENERATED)
@given(data=hostile.HOSTILE)
def test_a_generated_tasks_reader_takes_any_text(name: str, data: str) -> None:
    task = GENERATED[name]
    for text in (data, f"Take {data} steps. I have {data} apples, a; {data}. How many {data} do I have?", hostile.SUPERSCRIPT):
        if item := task.read(text[:4000]):
            item.work(task.kinds)
            item.conclude(task.kinds)
            first_fault(item, task.kinds, data)
            assert isinstance(item.answer, str)


@pytest.mark.parametrize("unit", ["1.\t", "one ", "a b ", "x\n", "Step 1: "])
def test_the_word_diff_of_texts_full_of_one_word_is_made_soon(unit: str) -> None:
    text = unit * (6000 // len(unit))
    pieces = word_diff(text[:4000], "x" + text[:4000][::-1])
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == text[:4000]


@pytest.mark.parametrize("pattern", [
    "(a+)+b", "(a|a)*b", "(a|ab)*c", "(aa?)+b", r"(\d*,)*", "a?" * 40 + "a" * 40, "(?:a|a)" * 40 + "b", ".*" * 9 + "b",
    "x" * 10_001, "(" * 3000, "(?P<a"])
def test_patterns_that_never_end_are_refused(pattern: str) -> None:
    with pytest.raises(DataError) as caught:
        check_pattern(pattern, "demo/3")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("pattern", [
    "(yes|no)(, (yes|no))*", r"\s*\$?\d+(\.\d+)?\s*", r"(?i)paris|the city of paris", r"[\w.]+@[\w.]+", "(ab)+", r".*\b42\b.*",
    "a*a*a*a*b", ".*.*.*.*x"])
def test_patterns_that_are_taken_end_soon(pattern: str) -> None:
    assert why_unsafe(pattern) is None
    for length in (60, 100, 300, 500, 5000):
        SCORERS["regex"](Completion("Answer: " + "a" * length + "!"), Example("1", "?", (pattern,)))
