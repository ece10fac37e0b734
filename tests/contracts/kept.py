"""A problem with fixed parts, and optimizer models that respect them, break them, or are random."""

import re
from dataclasses import replace
from itertools import pairwise
from random import Random

from optimizer.candidate import Problem
from optimizer.kept_parts import occurrences, read_baseline
from optimizer.prompt import Prompt
from optimizer.questions.template import escape
from optimizer.types import Request
from tests.contracts import toy

BASELINE = """You add numbers.

## Rules
- Never name a person.
- Money is in euros, <b>always</b>.

## Notes
The numbers may be long.
Answer in one line.
Be kind & brief.
"""
NAMES = ("## Rules", "Answer in one line.")
READ = read_baseline(BASELINE, NAMES)
PROBLEM = replace(
    toy.PROBLEM,
    seed=Prompt(READ.text),
    keep=READ.keep,
    labels=("even", "odd"),
    answer_contract="Right is the same number </contract>.",
    where="The prompt is the system message.",
)


def holds(text: str, keep: tuple[str, ...] = READ.keep) -> bool:
    """Whether a text holds every part once and in order, told without the code under test."""
    places = [text.find(part) for part in keep]
    once = all(text.count(part) == 1 for part in keep)
    return once and all(one < other for one, other in pairwise(places))


def kept_problem(text: str, names: tuple[str, ...], problem: Problem = PROBLEM) -> Problem:
    """The toy problem with another baseline."""
    baseline = read_baseline(text, names)
    return replace(problem, seed=Prompt(baseline.text), keep=baseline.keep)


def dutiful(request: Request, problem: Problem = PROBLEM) -> str:
    """A model that changes what it may change."""
    reply = toy.author(request)
    asked = request.messages[0].content
    if "<prompt>" not in reply:
        return reply
    phrase = reply.removeprefix("<prompt>").removesuffix("</prompt>")
    if "\n<edit>\n" in asked:
        line = free_line(problem, toy.chance(asked, request.sample))
        return (
            f"<edit>\n<search>{escape(line)}</search>\n"
            f"<replace>{escape(line)} {phrase}</replace>\n</edit>"
        )
    return f"<prompt>{escape(problem.seed.instruction)}\n{phrase}</prompt>"


def free_line(problem: Problem, draw: float) -> str:
    """A line of the baseline that stands once and in no fixed part."""
    text = problem.seed.instruction
    lines = [
        line
        for line in text.splitlines()
        if line.strip()
        and len(occurrences(line, text)) == 1
        and not any(line in part or part in line for part in problem.keep)
    ]
    return lines[int(draw * len(lines))]


def hostile(request: Request, seed: int, problem: Problem = PROBLEM) -> str:
    """A model that breaks fixed parts in every way, and now and then does what it is told."""
    rng = Random(f"{seed} {request.messages} {request.sample}")
    text, keep = problem.seed.instruction, problem.keep
    part = rng.choice(keep)
    broken = {
        "left out": text.replace(part, ""),
        "twice": f"{text}\n{part}",
        "changed": text.replace(part, part.replace("e", "a", 1)),
        "white space": text.replace(part, re.sub(r"\s", "  ", part, count=1)),
        "another order": "\n".join(reversed(keep)),
        "alone": part,
        "all": "\n\n".join(keep) + f" {rng.random()}",
    }
    line = free_line(problem, rng.random())
    search = rng.choice([line, part, part[:9], text, "", "not there", text[5:60]])
    edit = f"<edit><search>{escape(search)}</search><replace>{escape(part)}</replace></edit>"
    plain = f"<edit><search>{escape(line)}</search><replace>{rng.random()}</replace></edit>"
    return rng.choice(
        [
            dutiful(request, problem),
            *(f"<prompt>{escape(one)}</prompt>" for one in broken.values()),
            edit,
            plain,
            edit + plain,
            f"<steps>\n1. {' '.join(part.split())}\n2. Add. {rng.random()}\n</steps>",
            f"<steps>\n1. Say {part.splitlines()[-1]} [text]\n</steps>",
            f"<steps>\n1. {part}\n</steps>",
            toy.author(request),
        ]
    )
