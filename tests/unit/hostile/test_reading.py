"""Whatever is read of a text from outside: nothing but Unreadable is raised, in time that grows
with the text's length alone.
"""

import subprocess
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.text.diff import word_diff
from optimizer.graders.graders import grader_named
from optimizer.graders.reading.choices import choice_concluded
from optimizer.graders.reading.patterns import compiled, why_unusable
from optimizer.prompt import Prompt as PromptOf
from optimizer.prompt import Step, followed_steps, has_form, read_trace
from optimizer.questions.reply import Unreadable, read_causes, read_prompt, read_steps
from optimizer.questions.template import attempted, escape, solved, unescape
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.generated.faults import first_fault
from optimizer.tasks.rows import _options
from optimizer.types import Completion, Example, Message, Request
from serving.engines.rulebook.engine import RulebookEngine
from serving.engines.rulebook.metaprompt import Query
from serving.engines.rulebook.rules import RULES
from tests.contracts import hostile
from tests.contracts.examples import examples
from tests.unit.hostile.growing import AT_ONCE_S, FOUR_TIMES, check_linear, cpu_seconds
from tests.unit.optimizer.operators.test_operators import OPERATORS, error, example

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
    "followed": lambda text: followed_steps(
        PromptOf(steps=tuple(Step("x", form) for form in FORMS)), read_trace(text)
    ),
    "prompt": readable(read_prompt),
    "steps": readable(lambda text: read_steps(f"<steps>{text[:19_000]}</steps>")),
    "causes": readable(lambda text: read_causes(f"<causes>{text[:19_000]}</causes>")),
    "escape": lambda text: unescape(escape(text)),
    "options": _options,
    "exact": lambda text: grader_named("exact").score(Completion(text), CHOICES),
    "choice": lambda text: grader_named("choice").score(Completion(text), CHOICES),
    "number": lambda text: grader_named("number").score(Completion(text), NUMBER),
    "regex": lambda text: grader_named("regex").score(
        Completion(text), Example("1", "?", (r"\s*a+\s*b*",))
    ),
    "choices": lambda text: choice_concluded(text, ("yes", "no", text)),
    "query": lambda text: Query(
        f"Operator: edit\n{text}\nReply in exactly this form", Random(0), 0.0
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize(
    "before",
    ["", "Answer: a", "answer is", "- a", "1. a [", "Options:\n- a", "I have ", "<prompt>"],
)
def test_no_text_takes_more_than_its_length(name: str, before: str) -> None:
    for _, unit, after in (one for one in hostile.STRETCHED if one[0] == before):
        text_by_length = {
            length: before + unit * (length // len(unit)) + after
            for length in (36, 100, 5_000, 20_000)
        }
        took_s = {
            length: cpu_seconds(READINGS[name], text) for length, text in text_by_length.items()
        }
        assert max(took_s[36], took_s[100]) < AT_ONCE_S, (before, unit, after)
        assert took_s[20_000] < FOUR_TIMES * took_s[5_000] + AT_ONCE_S, (before, unit, after)


@pytest.mark.slow
@pytest.mark.parametrize("name", READINGS)
def test_a_megabyte_takes_about_ten_times_as_long_as_a_tenth_of_it(name: str) -> None:
    for before, unit, after in (
        ("Answer: a", " ", "b"),
        ("- a", " ", "b"),
        ("", "<prompt>", ""),
        ("I have ", "1", ""),
    ):
        check_linear(
            READINGS[name], lambda length, b=before, u=unit, a=after: b + u * (length // len(u)) + a
        )


@pytest.mark.parametrize("name", READINGS)
@given(text=hostile.HOSTILE)
def test_no_text_raises(name: str, text: str) -> None:
    READINGS[name](text)


@pytest.mark.parametrize("name", OPERATORS)
@given(
    reply=hostile.HOSTILE,
    tag=st.sampled_from(
        ["prompt", "reason", "steps", "response", "causes", "step", "kind", "evidence"]
    ),
)
def test_a_hostile_reply_is_read_or_unreadable(name: str, reply: str, tag: str) -> None:
    question = OPERATORS[name]("data")
    for text in (
        reply,
        f"<{tag}>{reply}</{tag}>",
        f"<step>1</step><kind>wrong</kind><evidence>{reply}</evidence>",
    ):
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
        (outcome,) = await RulebookEngine(prior_bias=0.0).complete(
            [Request((Message("user", text),))]
        )
        assert isinstance(outcome, Completion)


@pytest.mark.parametrize("name", GENERATED)
@given(data=hostile.HOSTILE)
def test_a_generated_tasks_reader_takes_any_text(name: str, data: str) -> None:
    task = GENERATED[name]
    for text in (
        data,
        f"Take {data} steps. I have {data} apples, a; {data}. How many {data} do I have?",
        hostile.SUPERSCRIPT,
    ):
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


COMPILED_S = 1.5
"""For what costs RE2 the most to read within its bounds, on a busy machine."""


def check_soon(pattern: str) -> None:
    """The pattern is refused in a short sentence or ends on every answer, and either soon."""
    texts = [
        letter * length + "!"
        for letter in ("a", "i", "\u0130", "\u4e00", " ")
        for length in (60, 300, 499, 5000)
    ]
    assert cpu_seconds(compiled_or_refused, pattern) < COMPILED_S
    if why_unusable(pattern) is None:
        for text in texts:
            assert cpu_seconds(compiled(pattern).matches, text) < AT_ONCE_S
            assert cpu_seconds(compiled(pattern).search, text[:500]) < AT_ONCE_S


def compiled_or_refused(pattern: str) -> None:
    compiled.cache_clear()
    fault = why_unusable(pattern)
    assert fault is None or (len(fault) < 250 and "\n" not in fault)


NEVER_ENDED = [
    "(a+)+b",
    "(a|a)*b",
    "(a|ab)*c",
    "(aa?)+b",
    r"(\d*,)*",
    "a?" * 40 + "a" * 40,
    "(?:a|a)" * 40 + "b",
    ".*" * 9 + "b",
    "(((((a{50}){50}){50}){50}){50})",
    "(((((a{1,30}){1,30}){1,30}){1,30}){1,30})b",
    r"((\w{1,31}){1,31})b",
    "(((?:){9999}){9999}){9999}",
    "((((){60000}){60000}){60000})a*",
    "(?i)(?:i.|\u0131.)*x",
    "(?i)(i|\u0131|\u0130)*s",
    "(?i)" + "i\u0130?" * 40 + "b",
    r"(\w+\s?)+$",
    r"^(\s*\w*)*:$",
    "(.?){999}b",
    "((a?){30}){30}b",
    "(x+x+)+y",
    "(.*.*){300}b",
]


@pytest.mark.parametrize(
    "pattern",
    [
        *NEVER_ENDED,
        r"\w" * 5000,
        r"\pL" * 3000,
        r"[\w\d\s]" * 1000,
        r"\w{1000}",
        r"(\w{1,50}x?){1,2}y",
        "x" * 10_001,
        "(" * 3000,
        "(" * 900 + "a" + ")*" * 900,
        "[" * 5000,
        "(?P<a",
        "|".join(f"{number:05d}" for number in range(1600)),
        "(?i)" + "[a-z]{1,999}",
    ],
)
def test_any_pattern_is_refused_or_ends_soon(pattern: str) -> None:
    check_soon(pattern)


@settings(max_examples=examples(60))
@given(pattern=st.text(alphabet=r"ab.*+?(){}[]|\\wdsb1,^$-:i\u0130\u4e00", max_size=40))
def test_any_pattern_of_signs_is_refused_or_ends_soon(pattern: str) -> None:
    check_soon(pattern)


@pytest.mark.process
def test_patterns_take_little_memory() -> None:
    """Of all that are kept at once, in a process of its own: the greatest so far is never given
    back.
    """
    program = (
        "import resource; from optimizer.graders.reading.patterns import compiled\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "for number in range(60):\n"
        "    compiled(rf'{number}((\\w{{1,40}}x?)|.)*y').matches('\u4e00' * 499)\n"
        "print((peak() - before) // 1024)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert int(ended.stdout) < 400
