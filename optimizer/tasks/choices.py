"""Which of some choices does a text name? By letter ("(A)", "A", "A)"), by text, or by yes for true. Knows nothing of scoring."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_LABEL = re.compile(r"\(?([A-Za-z])[).:](?:\s+(.*))?", re.DOTALL)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SAME = ({"yes", "true"}, {"no", "false"})


@dataclass(frozen=True)
class _Option:
    choice: str
    letter: str
    """In lower case: its own label, or that of its place."""
    words: tuple[str, ...]
    """What its text may be called, folded."""


def choice_named(text: str, choices: Sequence[str], *, loosely: bool = True) -> str | None:
    """The choice that the text is, or (`loosely`) that it begins with or mentions first. None if it names none."""
    options = _options(tuple(choices))
    exact = _exactly(text, options)
    if exact or not loosely:
        return exact
    mentions = _mentions(text, options)
    return _by_label(text, options) or (mentions[0] if mentions else None)


def last_choice_in(text: str, choices: Sequence[str]) -> str | None:
    """The choice that a text mentions last, by its text or by its letter in brackets."""
    mentions = _mentions(text, _options(tuple(choices)))
    return mentions[-1] if mentions else None


@lru_cache(maxsize=4096)
def _options(choices: tuple[str, ...]) -> tuple[_Option, ...]:
    labels = [_LABEL.fullmatch(choice) for choice in choices]
    if choices and all(labels):
        parts = [(label[1].lower(), label[2] or "") for label in labels if label]
    else:
        # Nobody calls yes or no by a letter; "a" is then the article.
        letters = "" if any(_folded(choice) in same for choice in choices for same in _SAME) else _LETTERS
        parts = [(letters[place : place + 1], choice) for place, choice in enumerate(choices)]
    texts = [_folded(text) for _, text in parts]
    return tuple(
        _Option(choice, letter, _called(text, texts)) for choice, (letter, _), text in zip(choices, parts, texts, strict=True))


def _called(text: str, texts: Sequence[str]) -> tuple[str, ...]:
    """A text, and yes for true (no for false) and the reverse, where no other choice is called so."""
    others = [word for same in _SAME if text in same for word in same if word not in texts]
    return (text, *sorted(others)) if text else ()


def _exactly(text: str, options: Sequence[_Option]) -> str | None:
    folded = _folded(text)
    by_text = next((option.choice for option in options if folded in option.words or folded == _folded(option.choice)), None)
    letter = re.fullmatch(r"(?:option |choice )?\(?([a-z])[).:]?", folded)
    return by_text or (_of_letter(letter[1], options) if letter else None)


def _by_label(text: str, options: Sequence[_Option]) -> str | None:
    label = _LABEL.match(text.strip())
    return _of_letter(label[1], options) if label else None


def _of_letter(letter: str, options: Sequence[_Option]) -> str | None:
    return next((option.choice for option in options if option.letter == letter.lower()), None)


def _mentions(text: str, options: Sequence[_Option]) -> list[str]:
    """The choices that a text mentions as whole words, in order. Longer texts are looked for first: one may stand in another."""
    choice_by_words = {word: option.choice for option in reversed(options) for word in option.words}
    choice_by_words |= {f"({option.letter})": option.choice for option in options if option.letter}
    folded = _folded(text)
    longest_first = sorted((words for words in choice_by_words if len(words) <= len(folded)), key=len, reverse=True)
    if not longest_first:
        return []
    pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
    return [choice_by_words[found] for found in re.findall(pattern, folded)]


def _folded(text: str) -> str:
    """Without case and closing marks, unless marks are all there is."""
    folded = " ".join(text.split()).casefold()
    return folded.rstrip(".?!") or folded
