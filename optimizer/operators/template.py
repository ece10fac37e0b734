"""Templates of what operators ask: data goes in between XML-like tags, once, and stays data.

A template is a text file in templates/; `{{name}}` is a place to fill. Substitution is a single
pass, so braces, dollar signs or whole templates inside the data are never looked at again, and a
tag of ours inside the data is escaped so that it closes nothing. Knows nothing of models, replies
or what an operator is for.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from optimizer.prompt import Form, Step
from optimizer.types import Answer, Example

TAGS = (
    "task",
    "prompt",
    "steps",
    "forms",
    "examples",
    "example",
    "input",
    "gold",
    "response",
    "given",
    "reason",
    "step",
    "kind",
    "evidence",
    "tried",
    "scored",
    "score",
    "reasons",
    "causes",
    "path",
)
"""Every tag that a template or a reply may hold."""
FORMS: dict[Form, str] = {
    "text": "any text",
    "list": "entries separated by ';'",
    "number": "ends in one number",
    "numbers": "entries separated by ';', each ending in a number",
    "points": "entries separated by ';', each ending in a point like (2,-1)",
}
"""What each form of a step's result looks like, in words for a model."""
MOST_SHOWN = 20_000
"""Characters of an input, an answer or a response that a question shows [ours]."""
_FOLDER = Path(__file__).with_name("templates")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_OPENER = re.compile(rf"(?:<|&(?:amp;)*lt;)(?=/?(?:{'|'.join(TAGS)})>)")


class Markup(str):
    """Text that is already escaped: `fill` takes it as it is."""

    __slots__ = ()


def load(name: str) -> str:
    """The template of an operator.

    Its first line is `Operator: <name>`, by which any engine or reader knows what is asked.
    """
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def form_contents() -> list[str]:
    """Return what stands inside the tags of each template's reply form: the words that hold the
    place of an answer.
    """
    forms = [
        path.read_text("utf-8").rpartition("\nReply in exactly this form")[2]
        for path in sorted(_FOLDER.glob("*.txt"))
    ]
    return [
        inside[2].strip() for form in forms for inside in re.finditer(r"<(\w+)>([^<]*)</\1>", form)
    ]


def fill(template: str, **data: str) -> str:
    """The template with every `{{name}}` replaced by its data, in one pass.

    Raises KeyError for a place without data.
    """
    return _PLACE.sub(lambda place: escape(data[place[1]]), template)


def escape(text: str) -> Markup:
    """The text with our own tags made harmless: `</prompt>` becomes `&lt;/prompt>`.

    `unescape` is its exact inverse.
    """
    return text if isinstance(text, Markup) else Markup(_OPENER.sub(_escaped, text))


def unescape(text: str) -> str:
    """The text as it was before `escape`."""
    return _OPENER.sub(_unescaped, text)


def _escaped(opener: re.Match[str]) -> str:
    return "&lt;" if opener[0] == "<" else f"&amp;{opener[0][1:]}"


def _unescaped(opener: re.Match[str]) -> str:
    return {"<": "<", "&lt;": "<"}.get(opener[0], f"&{opener[0][5:]}")


def tagged(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>"


def solved(examples: Sequence[Example]) -> Markup:
    """One `<example>` block an example: its `<input>` and the accepted answer `<gold>`."""
    return _blocks([_example(example) for example in examples])


def attempted(answers: Sequence[Answer]) -> Markup:
    """Blocks like `solved`, with the target model's `<response>` and the answer that was read from
    it, `<given>`.
    """
    return _blocks(
        [
            [
                *_example(answer.example),
                tagged("response", shown_part(answer.text)),
                tagged("given", shown_part(answer.score.answer)),
            ]
            for answer in answers
        ]
    )


def numbered(steps: Sequence[Step]) -> str:
    """The steps as a prompt shows them, one a line: `1. ...`."""
    return "\n".join(f"{number}. {step.text}" for number, step in enumerate(steps, 1))


def forms(steps: Sequence[Step]) -> str:
    """One line a step that says what its result has to look like."""
    return "\n".join(f"Step {number}: {FORMS[step.form]}" for number, step in enumerate(steps, 1))


def shown_part(text: str) -> str:
    """The text as a question shows it: one that would fill a model's context alone is cut, and says
    so.
    """
    left_out = len(text) - MOST_SHOWN
    return text if left_out <= 0 else f"{text[:MOST_SHOWN]}\n[... {left_out} more characters]"


def _example(example: Example) -> list[str]:
    return [
        tagged("input", shown_part(example.input)),
        tagged("gold", shown_part(example.answers[0])),
    ]


def _blocks(blocks: Sequence[Sequence[str]]) -> Markup:
    return Markup("\n".join("\n".join(("<example>", *lines, "</example>")) for lines in blocks))
