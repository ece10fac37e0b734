"""Parsing of operators' questions, and the form of the replies to them.

Knows no rule.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from optimizer.operators.refine import BECAUSE
from optimizer.questions.template import escape, unescape
from optimizer.tasks.generated import Item
from serving.engines.rulebook.phrasebook import task_behind

_FORM = "\nReply in exactly this form"
"""Separates a question's inputs from the form of the reply."""
_SMALL = re.compile(r"[0-9]{1,3}")
MOST_READ = 4000
"""Maximum number of characters of an input that is read: no generated item is half as long."""
_NUMBERED = re.compile(r"^\s*\d+\.\s*")


@dataclass(frozen=True)
class Case:
    """One example of a question; `response` and `given` are empty where there is no answer."""

    input: str
    gold: str
    response: str
    given: str


class Query:
    """A parsed question."""

    def __init__(self, asked: str, rng: Random, prior_bias: float) -> None:
        # Without the form, whose tags would be mistaken for inputs.
        text, _, form = asked.rpartition(_FORM)
        text = text or asked
        self.wants_edits = "<edit>" in form
        self.keep = _tags(text, "keep")
        self.rng = rng
        self.prompt = _tag(text, "prompt")
        self.reason = _tag(text, "reason")
        self.steps = [
            _NUMBERED.sub("", line) for line in _tag(text, "steps").split("\n") if line.strip()
        ]
        number = _tag(text, "step")
        self.number = int(number) if _SMALL.fullmatch(number) else 0
        self.kind = _tag(text, "kind")
        self.evidence = _tag(text, "evidence")
        self.reasons = _tags(_block(text, "reasons"), "reason")
        self.path = _tags(_block(text, "path"), "prompt")
        self.scored = _scored(_block(text, "scored"))
        self.tried = {
            line.partition(BECAUSE)[0].strip("- .")
            for line in _tag(text, "tried").split("\n")
            if line.strip()
        }
        self.cases = [
            Case(*(_tag(block, name) for name in ("input", "gold", "response", "given")))
            for block in _blocks(text, "example")
        ]
        self.task = task_behind([case.input[:MOST_READ] for case in self.cases])
        # The first draw of every query, so that all rules share one bias.
        self.biased = rng.random() < prior_bias

    def item(self, case: Case) -> Item | None:
        """Return the generated item behind an example, if there is one."""
        return self.task.read(case.input[:MOST_READ]) if self.task else None


def _tag(text: str, name: str) -> str:
    return unescape(_block(text, name).strip())


def _tags(text: str, name: str) -> list[str]:
    return [unescape(inside.strip()) for inside in _blocks(text, name)]


def _block(text: str, name: str) -> str:
    """Return the content of the first such tag, unchanged."""
    return next(_blocks(text, name), "")


def _blocks(text: str, name: str) -> Iterator[str]:
    """Yield the content of each such tag, in one walk.

    A pattern would search for the end again from every opening without one.
    """
    opening, closing, at = f"<{name}>", f"</{name}>", 0
    while (begins := text.find(opening, at)) >= 0 and (ends := text.find(closing, begins)) >= 0:
        yield text[begins + len(opening) : ends]
        at = ends + len(closing)


def _scored(archive: str) -> list[tuple[str, int]]:
    scores = [score.strip() for score in _blocks(archive, "score")]
    pairs = zip(_tags(archive, "prompt"), scores, strict=False)
    return [(prompt, int(score)) for prompt, score in pairs if _SMALL.fullmatch(score)]


def prompt_of(text: str) -> str:
    """Return a reply with a prompt."""
    return f"<prompt>{escape(text)}</prompt>"


def steps_of(lines: Sequence[str]) -> str:
    """Return a reply with steps."""
    return f"<steps>\n{chr(10).join(lines)}\n</steps>"


def replacement_of(steps: Sequence[tuple[str, str]]) -> str:
    """Return a reply with a replacement of a step."""
    return steps_of([f"- {text}. [{form}]" for text, form in steps])


def location_of(number: int, kind: str, evidence: str) -> str:
    """Return a reply with a failing step."""
    return f"<step>{number}</step><kind>{kind}</kind><evidence>{escape(evidence)}</evidence>"
