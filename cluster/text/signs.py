"""Mark the invisible characters of a diff, so that no change in blanks is overlooked.

The page's parts/signs.js follows the same rule.

A sign stands beside the character and never in its place (a style sheet draws it from the
attribute), so that the text of the markup is the text of the prompts, and so is what is copied out
of it. A blank between two words has none: it is visible.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.text.diff import Piece

_SIGN_BY_CHARACTER = {" ": "·", "\n": "↵", "\t": "→", "\r": "␍"}
_UNSEEN = ("Cc", "Cf", "Zs", "Zl", "Zp")
"""Unicode's categories of characters without a shape of their own."""


@dataclass(frozen=True)
class Part:
    """A run of plain text, or one character with its sign."""

    text: str
    sign: str = ""

    @property
    def shown(self) -> str:
        """Return what a page can hold of the text.

        HTML has no character zero: its sign stands alone.
        """
        return self.text.replace("\0", "")


def signed(pieces: Sequence[Piece]) -> list[list[Part]]:
    """Return the parts of each piece."""
    return [_parts(piece, *_neighbours(pieces, place)) for place, piece in enumerate(pieces)]


def _neighbours(pieces: Sequence[Piece], place: int) -> tuple[str, str]:
    """Return the characters before and behind a piece in its own text; "" at the text's ends."""

    def own(piece: Piece) -> bool:
        return piece.kind in ("same", pieces[place].kind) or pieces[place].kind == "same"

    before = next((piece.text[-1] for piece in reversed(pieces[:place]) if own(piece)), "")
    behind = next((piece.text[0] for piece in pieces[place + 1 :] if own(piece)), "")
    return before, behind


def _parts(piece: Piece, before: str, behind: str) -> list[Part]:
    text, alone = piece.text, piece.kind != "same" and piece.text.isspace()
    parts: list[Part] = []
    plain = ""
    for place, character in enumerate(text):
        left = text[place - 1] if place else before
        right = text[place + 1] if place + 1 < len(text) else behind
        sign = _sign(character, left, right, alone)
        if not sign:
            plain += character
            continue
        parts += [Part(plain)] if plain else []
        parts.append(Part(character, sign))
        plain = ""
    return [*parts, Part(plain)] if plain else parts


def _sign(character: str, left: str, right: str, alone: bool) -> str:
    """Return the sign of a character, or "" for a visible one.

    Args:
        character: The character.
        left: The character before it, or "".
        right: The character behind it, or "".
        alone: The piece consists of blanks only, and was added or removed.
    """
    if character == " ":
        hidden = alone or not left or not right or left.isspace() or right.isspace()
        return _SIGN_BY_CHARACTER[" "] if hidden else ""
    if character in _SIGN_BY_CHARACTER:
        return _SIGN_BY_CHARACTER[character]
    return f"U+{ord(character):04X}" if unicodedata.category(character) in _UNSEEN else ""
