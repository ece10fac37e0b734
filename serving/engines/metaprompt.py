"""The form of our operators' meta-prompts, taken apart, and of the replies to them, put together. Knows no rule."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from optimizer.operators.refine import BECAUSE
from optimizer.operators.template import escape, unescape
from optimizer.tasks.generated import Item
from serving.engines.phrasebook import task_behind

_EXAMPLE = re.compile(r"<example>(.*?)</example>", re.DOTALL)
_FORM = "\nReply in exactly this form"
"""Where a meta-prompt's inputs end and the form of the reply begins."""
_SCORED = re.compile(r"<prompt>(.*?)</prompt>\s*<score>(\d+)</score>", re.DOTALL)
_NUMBERED = re.compile(r"^\s*\d+\.\s*")


@dataclass(frozen=True)
class Case:
    """One example of a meta-prompt: `response` and `given` are empty where the target was not asked."""

    input: str
    gold: str
    response: str
    given: str


class Query:
    """A meta-prompt, taken apart."""

    def __init__(self, asked: str, rng: Random, prior_bias: float) -> None:
        text = asked.rpartition(_FORM)[0] or asked
        self.rng = rng
        self.prompt = _tag(text, "prompt")
        self.reason = _tag(text, "reason")
        self.steps = [_NUMBERED.sub("", line) for line in _tag(text, "steps").splitlines() if line.strip()]
        number = _tag(text, "step")
        self.number = int(number) if number.isdigit() else 0
        self.kind = _tag(text, "kind")
        self.evidence = _tag(text, "evidence")
        self.reasons = _tags(_block(text, "reasons"), "reason")
        self.path = _tags(_block(text, "path"), "prompt")
        self.scored = [(unescape(prompt), int(score)) for prompt, score in _SCORED.findall(_block(text, "scored"))]
        self.tried = {line.partition(BECAUSE)[0].strip("- .") for line in _tag(text, "tried").splitlines() if line.strip()}
        self.cases = [
            Case(*(_tag(block, name) for name in ("input", "gold", "response", "given"))) for block in _EXAMPLE.findall(text)]
        self.task = task_behind([case.input for case in self.cases])
        self.biased = rng.random() < prior_bias

    def item(self, case: Case) -> Item | None:
        return self.task.read(case.input) if self.task else None


def _tag(text: str, name: str) -> str:
    return unescape(_block(text, name).strip())


def _tags(text: str, name: str) -> list[str]:
    return [unescape(inside.strip()) for inside in re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)]


def _block(text: str, name: str) -> str:
    """What stands in the first such tag, as it stands there."""
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return found[1] if found else ""


def prompt_of(text: str) -> str:
    return f"<prompt>{escape(text)}</prompt>"


def steps_of(lines: Sequence[str]) -> str:
    return f"<steps>\n{chr(10).join(lines)}\n</steps>"


def replacement_of(steps: Sequence[tuple[str, str]]) -> str:
    return steps_of([f"- {text}. [{form}]" for text, form in steps])


def location_of(number: int, kind: str, evidence: str) -> str:
    return f"<step>{number}</step><kind>{kind}</kind><evidence>{escape(evidence)}</evidence>"
