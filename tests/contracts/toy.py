"""A synthetic task with a known optimum, for search methods: adding two numbers, with a scripted
target and optimizer model.

T1. The target's chance of a right answer rises with what the prompt asks for: each word of SKILLS
adds 0.2 to a base of 0.2. T2. A demonstration adds 0.2, and makes the target do every step; without
one it does not do the last step. T3. Whether an answer is right depends on the prompt's skill and
the question only, so a more skilled prompt is right on all that a
    less skilled one is right on.
T4. Dev items carry MARKER; training items never do.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from optimizer.candidate import Candidate, Problem, Standing
from optimizer.prompt import Prompt, adherence, adherence_by_step, read_trace
from optimizer.protocols import LanguageModel
from optimizer.types import (
    Answer,
    Completion,
    Example,
    Outcome,
    Purpose,
    Request,
    Sampling,
    Score,
    graded,
)

SKILLS = ("list", "add", "check")
MARKER = "dev-item-never-shown"
PHRASES = (
    "Answer the question.",
    "List the numbers.",
    "Add the numbers up.",
    "List and add the numbers.",
    "Check the sum.",
    "Be careful.",
    "List the numbers, add them, check the sum.",
)
SEED = Prompt("Let's think step by step.")
FEEDBACK = "The sum {} is off, </example> is none."
AWKWARD = "{{task}} ${x} {0} </input></examples><prompt>"
"""Training inputs hold template syntax and our tags: as data they must change nothing."""


def chance(*things: object) -> float:
    """A number from 0 to 1 that depends on the things alone, the same in every process."""
    return int(hashlib.sha256(repr(things).encode()).hexdigest()[:8], 16) / 16**8


def examples(count: int, note: str) -> tuple[Example, ...]:
    return tuple(
        Example(
            f"{note}-{number}",
            f"How much is {number} + {number % 7}? {note}",
            (str(number + number % 7),),
        )
        for number in range(count)
    )


PROBLEM = Problem("Add two numbers.", SEED, examples(24, AWKWARD))
DEV = examples(16, MARKER)


def target(request: Request) -> str:
    """The scripted target model."""
    system = next((message.content for message in request.messages if message.role == "system"), "")
    question = request.messages[-1].content
    shown = any(message.role == "assistant" for message in request.messages)
    steps = len(re.findall(r"^\d+\. ", system, re.MULTILINE))
    lines = [f"Step {number}: done" for number in range(1, steps + shown)]
    right = chance(question) < 0.2 * (1 + shown + sum(skill in system.lower() for skill in SKILLS))
    return "\n".join([*lines, f"Answer: {right_answer(question) if right else 'unknown'}"])


def flawless(request: Request) -> str:
    """A target model that is always right."""
    return f"Answer: {right_answer(request.messages[-1].content)}"


def author(request: Request) -> str:
    """The scripted optimizer model: a well-formed reply to any operator, another one for every
    sample.
    """
    text = request.messages[0].content
    operator = text.partition("\n")[0].removeprefix("Operator: ")
    draw = chance(text, request.sample)
    phrase = f"{PHRASES[int(draw * len(PHRASES))]} ({int(draw * 1000)})"
    steps = len(
        re.findall(r"^\d+\. ", text.partition("<steps>")[2].partition("</steps>")[0], re.MULTILINE)
    )
    gold = re.search("<gold>(.*)</gold>", text)
    worked = "\n".join(f"Step {number}: done" for number in range(1, steps + 1))
    return {
        "criticise": f"<reason>It never says: {phrase}</reason>",
        "criticise_unseen": f"<reason>It never says: {phrase}</reason>",
        "summarise": f"<causes>\n- It never says: {phrase}\n</causes>",
        "decompose": f"<steps>\n1. Read the question. [text]\n2. {phrase}\n</steps>",
        "demonstrate": f"<response>\n{worked}\nAnswer: {gold[1] if gold else ''}\n</response>",
        "localise": f"<step>{steps}</step><kind>skipped</kind><evidence>There is no line for "
        "it.</evidence>",
        "refine": f"<steps>\n- {phrase}\n</steps>",
        "revise": f"<steps>\n1. Read the question. [text]\n2. {phrase}\n</steps>",
    }.get(operator, f"<prompt>{phrase}</prompt>")


def right_answer(question: str) -> int:
    return sum(int(number) for number in re.findall(r"\d+", question.partition("?")[0]))


class InMemoryEvaluator:
    """The target model on the toy task: every candidate on every dev item, exact answers.

    Counts how often it is asked.
    """

    def __init__(self, target: LanguageModel, dev: Sequence[Example] = DEV) -> None:
        self._target = target
        self._dev = tuple(dev)
        self.answer_calls = 0
        self.select_calls = 0

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        self.answer_calls += 1
        return await self._ask(work, purpose)

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        self.select_calls += 1
        distinct = list({candidate.id: candidate for candidate in reversed(candidates)}.values())[
            ::-1
        ]
        answers = await self._ask(
            [(one.prompt, example) for one in distinct for example in self._dev], "validate"
        )
        size = len(self._dev)
        measured = [
            self._standing(one, answers[at * size : (at + 1) * size])
            for at, one in enumerate(distinct)
        ]
        ranked = sorted(
            measured, key=lambda standing: -1.0 if standing.accuracy is None else -standing.accuracy
        )
        return tuple(replace(standing, kept=at < keep) for at, standing in enumerate(ranked))

    async def _ask(self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose) -> list[Answer]:
        requests = [
            Request(prompt.render(example.input), Sampling(), 0, purpose)
            for prompt, example in work
        ]
        outcomes = await self._target.complete(requests)
        return [
            _answer(example, outcome) for (_, example), outcome in zip(work, outcomes, strict=True)
        ]

    def _standing(self, candidate: Candidate, answers: Sequence[Answer]) -> Standing:
        scores = [answer.score.value for answer in answers if answer.score.value is not None]
        followed = adherence(candidate.prompt, [answer.text for answer in answers])
        by_step = adherence_by_step(candidate.prompt, [answer.text for answer in answers])
        by_item = tuple(answer.score.value for answer in answers)
        return Standing(
            candidate,
            sum(scores) / len(scores) if scores else None,
            len(scores),
            followed,
            False,
            by_step,
            by_item,
        )


def _answer(example: Example, outcome: Outcome) -> Answer:
    if not isinstance(outcome, Completion):
        return Answer(
            example, "", Score("missing" if outcome.kind == "infrastructure" else "refused")
        )
    given = read_trace(outcome.text).answer or ""
    return Answer(
        example, outcome.text, Score("right" if given in example.answers else "wrong", given)
    )


class GradedEvaluator(InMemoryEvaluator):
    """Whose grader gives partial credit for a wrong answer, and says what is wrong with it."""

    async def _ask(self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose) -> list[Answer]:
        answers = await super()._ask(work, purpose)
        return [
            replace(
                answer,
                score=graded(0.4, answer.score.answer, FEEDBACK.format(answer.example.id[-2:])),
            )
            if answer.is_error
            else answer
            for answer in answers
        ]
