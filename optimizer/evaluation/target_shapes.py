"""What a task's targets look like, and which graders fit such targets."""

from collections.abc import Sequence
from typing import Literal

from optimizer.graders.reading.json_values import parsed
from optimizer.types import Example

Shape = Literal["", "json", "long text", "phrase"]
LONG_TEXT_WORDS = 12
"""Words of a target from which on nobody repeats it word for word [ours]."""
PHRASE_WORDS = 4
_WORD_FOR_WORD = ("exact", "choice")
_SUITS: dict[Shape, tuple[str, ...]] = {
    "": (),
    "json": ("json",),
    "long text": ("text_similarity", "score_model", "label_model"),
    "phrase": ("token_f1", "contains"),
}


def shape_of(examples: Sequence[Example]) -> Shape:
    """Return what all targets are; "" where they are short, or of several kinds."""
    targets = [example.answers[0] for example in examples if example.answers]
    if not targets:
        return ""
    if all(map(_is_json, targets)):
        return "json"
    words = [len(target.split()) for target in targets]
    # Few different long targets are classes, which a model can name.
    if 2 * len(set(targets)) > len(targets):
        if min(words) >= LONG_TEXT_WORDS:
            return "long text"
        if min(words) >= PHRASE_WORDS:
            return "phrase"
    return ""


def better_suited(grader: str, shape: Shape) -> tuple[str, ...]:
    """Return the graders that fit targets of this shape where the given one does not."""
    return _SUITS[shape] if grader in _WORD_FOR_WORD else ()


def _is_json(target: str) -> bool:
    try:
        return isinstance(parsed(target), dict | list)
    except ValueError:
        return False
