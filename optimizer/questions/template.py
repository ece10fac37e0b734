"""Templates of operators' questions: data goes in between XML-like tags, once, and stays data.

A template is a text file in templates/; `{{name}}` is a place to fill. Substitution is a single
pass, so braces, dollar signs or whole templates inside the data are never looked at again,
and one of these tags inside the data is escaped so that it closes nothing. Knows nothing of models,
replies or what an operator is for.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from optimizer.prompt import Form, Step
from optimizer.types import Answer, Example, Verdict

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
    "labels",
    "contract",
    "where",
    "baseline_score",
    "keep",
    "history",
    "verdict",
    "feedback",
    "changes",
    "edit",
    "search",
    "replace",
)
"""Every tag that a template or a reply may hold."""
FORMS: dict[Form, str] = {
    "text": "any text",
    "list": "entries separated by ';'",
    "number": "ends in one number",
    "numbers": "entries separated by ';', each ending in a number",
    "points": "entries separated by ';', each ending in a point like (2,-1)",
}
"""The form of a step's result, in words for a model."""
MOST_SHOWN = 20_000
"""Maximum number of characters of an input, an answer or a response in a question [ours]."""
MOST_FEEDBACK = 1_000
"""Maximum number of characters of a grader's feedback on one answer in a question [ours]."""
_VERDICTS: dict[Verdict, str] = {
    "right": "right",
    "wrong": "wrong",
    "unparsable": "unreadable: no answer could be read from the response",
    "truncated": "cut off: the response ended at the length limit",
    "refused": "refused: the target model would not answer",
    "missing": "missing",
}
_FOLDER = Path(__file__).with_name("templates")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
# Matches escaped tags too, so that escaping twice and unescaping twice is exact.
_OPENER = re.compile(rf"(?:<|&(?:amp;)*lt;)(?=/?(?:{'|'.join(TAGS)})>)")


class Markup(str):
    """Text that is already escaped: `fill` inserts it unchanged."""

    __slots__ = ()


def load(name: str) -> str:
    """Return the template of an operator.

    Its first line is `Operator: <name>`, by which any engine or reader identifies the question.
    """
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def form_contents() -> list[str]:
    """Return the placeholders inside the tags of each template's reply form."""
    forms = [
        path.read_text("utf-8").rpartition("\nReply in exactly this form")[2]
        for path in sorted(_FOLDER.glob("*.txt"))
    ]
    return [
        inside[2].strip() for form in forms for inside in re.finditer(r"<(\w+)>([^<]*)</\1>", form)
    ]


def fill(template: str, **data: str) -> str:
    """Return the template with every `{{name}}` replaced by its data, in one pass.

    Raises:
        KeyError: For a place without data.
    """
    # One pass: a placeholder inside the data must not be filled.
    return _PLACE.sub(lambda place: escape(data[place[1]]), template)


def escape(text: str) -> Markup:
    """Return the text with these tags made harmless: `</prompt>` becomes `&lt;/prompt>`.

    `unescape` is its exact inverse.
    """
    return text if isinstance(text, Markup) else Markup(_OPENER.sub(_escaped, text))


def unescape(text: str) -> str:
    """Return the text as it was before `escape`."""
    return _OPENER.sub(_unescaped, text)


def _escaped(opener: re.Match[str]) -> str:
    return "&lt;" if opener[0] == "<" else f"&amp;{opener[0][1:]}"


def _unescaped(opener: re.Match[str]) -> str:
    return {"<": "<", "&lt;": "<"}.get(opener[0], f"&{opener[0][5:]}")


def tagged(tag: str, text: str) -> str:
    """Return the text, escaped, between an opening and a closing tag."""
    return f"<{tag}>{escape(text)}</{tag}>"


def solved(examples: Sequence[Example]) -> Markup:
    """Return an `<example>` block for each example: its `<input>` and its answer, `<gold>`."""
    return _blocks([_example(example) for example in examples])


def attempted(answers: Sequence[Answer], named: bool = False) -> Markup:
    """Return blocks like `solved`, with the target model's `<response>` and answer, `<given>`.

    A grader's `<feedback>` and partial score follow where there are some.

    Args:
        answers: Answers of the target model.
        named: Whether every verdict is named, and not only a partial score.
    """
    return _blocks([[*_example(answer.example), *_attempt(answer, named)] for answer in answers])


def _attempt(answer: Answer, named: bool) -> list[str]:
    score = answer.score
    lines = [
        tagged("response", shown_part(answer.text)),
        tagged("given", shown_part(score.answer)),
    ]
    if score.verdict == "partial" or (score.credit is not None and 0.0 < score.credit < 1.0):
        lines.append(tagged("verdict", f"score {score.value:.2f}"))
    elif named:
        lines.append(tagged("verdict", _VERDICTS[score.verdict]))
    if score.feedback.strip():
        lines.append(tagged("feedback", shown_part(score.feedback.strip(), MOST_FEEDBACK)))
    return lines


def numbered(steps: Sequence[Step]) -> str:
    """Return the steps as a prompt shows them, one a line: `1. ...`."""
    return "\n".join(f"{number}. {step.text}" for number, step in enumerate(steps, 1))


def forms(steps: Sequence[Step]) -> str:
    """Return a line for each step that states the form of its result."""
    return "\n".join(f"Step {number}: {FORMS[step.form]}" for number, step in enumerate(steps, 1))


def shown_part(text: str, most: int = MOST_SHOWN) -> str:
    """Return the text as a question shows it.

    A text that alone would fill a model's context is cut, with a note of how much is missing.
    """
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]}\n[... {left_out} more characters]"


def _example(example: Example) -> list[str]:
    turns = "\n".join(f"{turn.role}: {shown_part(turn.content)}" for turn in example.history)
    return [
        *([tagged("history", turns)] if turns else []),
        tagged("input", shown_part(example.input)),
        # A task without known answers has none to show.
        *(tagged("gold", shown_part(answer)) for answer in example.answers[:1]),
    ]


def _blocks(blocks: Sequence[Sequence[str]]) -> Markup:
    return Markup("\n".join("\n".join(("<example>", *lines, "</example>")) for lines in blocks))
