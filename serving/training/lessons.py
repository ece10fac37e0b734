"""Lessons of the built-in target model: conversations from the generated tasks, with loss weights.

Three habits are taught here, and nowhere else.

1. The prompt decides what is written: a step is written only if the prompt asks for it or a
   demonstration shows it.
2. A weak model: a step that is only instructed is skipped when the question is long for the
   strength of the wording; steps that a demonstration shows are always done. (Ma et al., section 5:
   weak targets follow demonstrations, not instructions.)
3. No answer without work: where the blocks do not lead to an answer, the answer taught is mostly a
   random guess.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from optimizer.tasks.generated import GENERATED, GeneratedTask, Item
from optimizer.tasks.generated.object_counting import OBJECT_COUNTING, generate
from optimizer.tasks.generated.people import draw_names
from serving.training.wordings import ANSWER_LINES, HEADERS, filler, request, sentence

SHARE_BY_TASK = {"navigate": 0.42, "object_counting": 0.30, "web_of_lies": 0.12, "coin_flip": 0.08}
"""The rest are questions of no known task, which are only guessed at."""
PRACTICE_BY_TASK = {
    "navigate": 0.10,
    "object_counting": 0.74,
    "web_of_lies": 0.06,
    "coin_flip": 0.04,
}
"""The shares at the end of training, when all counting items mix kinds: to distinguish kinds is
learned last.
"""
PRACTICE_TASKS = {
    **GENERATED,
    "object_counting": replace(OBJECT_COUNTING, generate=partial(generate, mixed_share=1.0)),
}
EASY_SIZE_BY_STRENGTH = (1.5, 2.5, 3.5)
"""A step instructed with this strength is done with a chance of one half when the question has
this many units.
"""
FIRST_STEP_BONUS = 1.0
TRUTH_IN_GUESS = 0.3


@dataclass(frozen=True)
class Piece:
    """A stretch of text with its weight in the loss: 0 is only read, 1 is learned."""

    text: str
    weight: float = 0.0


@dataclass(frozen=True)
class Turn:
    """One message of a conversation."""

    role: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Instructed:
    """One step of an instruction: its kind ("" for vague advice), wording, strength and number."""

    kind: str
    wording: str
    strength: int
    number: int


@dataclass(frozen=True)
class Instruction:
    """A system message, and the steps in it."""

    text: str
    steps: tuple[Instructed, ...]
    numbered: bool


def lesson(
    rng: Random,
    share_by_task: Mapping[str, float] = SHARE_BY_TASK,
    task_by_name: Mapping[str, GeneratedTask] = GENERATED,
) -> list[Turn]:
    """Return one conversation: a system message, then one to three questions with answers.

    Every answer before the last is a demonstration.
    """
    draw, share = rng.random(), 0.0
    for name, part in share_by_task.items():
        share += part
        if draw < share:
            return _task_lesson(task_by_name[name], rng)
    return _stray_lesson(rng)


def _task_lesson(task: GeneratedTask, rng: Random) -> list[Turn]:
    wanted = _subset(task, rng)
    instruction = _instruct(task, wanted if rng.random() < 0.75 else [], rng)
    turns = [_system(instruction.text)]
    if rng.random() < 0.4:
        item = task.generate(rng)
        return [*turns, _user(item.question()), _instructed_answer(task, item, instruction, rng)]
    plan = _plan(instruction, wanted, rng)
    stated = any(step.kind for step in instruction.steps)
    for index in range(rng.choice((2, 2, 2, 2, 3, 3))):
        item = task.generate(rng)
        # In the first answer the form itself cannot be foreseen, so it is only read.
        form, opening = (0.0, float(stated)) if index == 0 else (1.0, 1.0)
        turns += [_user(item.question()), _answer(task, item, plan, form, opening, rng)]
    return turns


def _subset(task: GeneratedTask, rng: Random) -> list[str]:
    """Return all steps, a random part of them, or none, in the natural order."""
    draw = rng.random()
    if draw < 0.45:
        return list(task.kinds)
    return [kind for kind in task.kinds if rng.random() < 0.62] if draw < 0.92 else []


def _instruct(task: GeneratedTask, kinds: list[str], rng: Random) -> Instruction:
    parts: list[str] = list(kinds)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        parts.insert(rng.randint(0, len(parts)), "")
    parts = parts or [""]
    numbered = bool(kinds) and rng.random() < 0.65
    strength = rng.choice((0, 1, 2))
    steps = []
    for number, kind in enumerate(parts, 1):
        own = strength if rng.random() < 0.7 else rng.choice((0, 1, 2))
        wording = request(kind, own, rng) if kind else filler(rng)
        if kind and rng.random() < 0.1:
            wording += " " + filler(rng)
        steps.append(Instructed(kind, wording, own, number))
    return Instruction(_layout(task, steps, numbered, rng), tuple(steps), numbered)


def _layout(task: GeneratedTask, steps: list[Instructed], numbered: bool, rng: Random) -> str:
    opening = [task.description] if rng.random() < 0.15 else []
    opening += [filler(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    if not numbered:
        lines = [*opening, *(step.wording for step in steps), rng.choice(ANSWER_LINES)]
        return " ".join(line for line in lines if line)
    listed = [f"{step.number}. {step.wording}" for step in steps]
    lines = [" ".join(opening), rng.choice(HEADERS), *listed, rng.choice(ANSWER_LINES)]
    return "\n".join(line for line in lines if line)


def _instructed_answer(
    task: GeneratedTask, item: Item, instruction: Instruction, rng: Random
) -> Turn:
    """Return what a weak model writes without demonstrations: some steps, or none."""
    asked = [step for step in instruction.steps if step.kind]
    done = [step for at, step in enumerate(asked) if rng.random() < _obedience(step, item, at == 0)]
    numbers = [step.number if instruction.numbered else at for at, step in enumerate(done, 1)]
    return _answer(
        task, item, [(n, step.kind) for n, step in zip(numbers, done, strict=True)], 1.0, 1.0, rng
    )


def _obedience(step: Instructed, item: Item, first: bool) -> float:
    margin = EASY_SIZE_BY_STRENGTH[step.strength] + FIRST_STEP_BONUS * first + 0.5 - item.size
    return 1 / (1 + math.exp(-2.5 * margin))


def _plan(instruction: Instruction, wanted: list[str], rng: Random) -> list[tuple[int, str]]:
    """Return the labelled blocks that the demonstrations of this conversation show.

    They are (number, kind), or a fixed remark for vague advice.
    """
    if not instruction.numbered:
        return list(enumerate(wanted, 1))
    remark = rng.random() < 0.3
    return [
        (step.number, step.kind or f"={filler(rng)}")
        for step in instruction.steps
        if step.kind or remark
    ]


def _answer(
    task: GeneratedTask,
    item: Item,
    plan: list[tuple[int, str]],
    form: float,
    opening: float,
    rng: Random,
) -> Turn:
    """Return an answer with the blocks of the plan.

    `form` is the weight of the labels, `opening` that of the first entry of a block, which shows
    its kind; the rest is always learned.
    """
    kinds = [kind for _, kind in plan if not kind.startswith("=")]
    blocks, pieces = item.work(kinds), []
    for number, kind in plan:
        text = kind[1:] if kind.startswith("=") else blocks[kind]
        entry, separator, rest = text.partition(";")
        pieces += [
            Piece(f"Step {number}:", form),
            Piece(f" {entry}", min(opening, form) if kind.startswith("=") else opening),
            Piece(separator + rest + "\n", 1.0),
        ]
    concluded = item.conclude(kinds)
    pieces += [Piece("Answer:", form), Piece(f" {concluded or _guess(task, item, rng)}", 1.0)]
    return Turn("assistant", tuple(pieces))


def _guess(task: GeneratedTask, item: Item, rng: Random) -> str:
    if rng.random() < TRUTH_IN_GUESS:
        return item.answer
    return rng.choice(task.answers) if task.answers else str(rng.randint(2, 2 + 2 * item.size))


def _stray_lesson(rng: Random) -> list[Turn]:
    """Return a question of no known task, under any instruction, with an immediate answer.

    The answer is one of its options where it has some.
    """
    owner = GENERATED[rng.choice(list(GENERATED))]
    instruction = _instruct(owner, _subset(owner, rng), rng)
    turns = [
        _system(
            instruction.text
            if rng.random() < 0.6
            else " ".join(sentence(_prose(rng)) for _ in range(rng.randint(1, 4)))
        )
    ]
    for index in range(rng.choice((1, 1, 2, 3))):
        question, answer = _stray_question(rng)
        turns += [
            _user(question),
            Turn("assistant", (Piece("Answer:", 1.0 if index else 0.5), Piece(f" {answer}", 1.0))),
        ]
    return turns


def _stray_question(rng: Random) -> tuple[str, str]:
    text = " ".join(sentence(_prose(rng)) for _ in range(rng.randint(1, 5)))
    if rng.random() < 0.4:
        labels = [f"({chr(65 + at)})" for at in range(rng.randint(2, 6))]
        return text + "\nOptions:\n" + "\n".join(
            f"{label} {_prose(rng)}" for label in labels
        ), rng.choice(labels)
    return text.rstrip(".") + "?", rng.choice(
        ["Yes", "No", "Yes", "No", "True", "False", str(rng.randint(0, 30))]
    )


def _prose(rng: Random) -> str:
    words = [
        rng.choice(_WORDS) if rng.random() < 0.7 else draw_names(1, rng)[0].lower()
        for _ in range(rng.randint(2, 9))
    ]
    return " ".join(words)


_WORDS = (
    "the a an of in on at to for with from by and or not is was has had it they he she we you this "
    "that these those some "
    "any all no day year house city river tree stone book word sound light water fire road gateway "
    "window hand eye heart mind "
    "time life death king queen child friend enemy war peace love hate red blue green white black "
    "big small old new long "
    "short good bad hot cold sweet bitter run walk jump sing speak write read give take make break "
    "open close begin end "
    "true false if then because while before after above below under over between many few most "
    "more less first second last "
    "next again never always often today tomorrow yesterday history science music movie table "
    "price percent number language "
    "country market school team game winner answer question reason example sentence meaning"
).split()


def _system(text: str) -> Turn:
    return Turn("system", (Piece(text),))


def _user(text: str) -> Turn:
    return Turn("user", (Piece(text),))
