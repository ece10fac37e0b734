"""The choice that a text names: by letter ("(A)", "option A", "A."), by text, or by yes for true.

To mention a choice is not to choose it: a text names one only where it is that choice, begins with
it, or speaks of no other. An article is no letter ("a circle"), a determiner is no answer ("there
is no reason"), and what a text denies it does not name. Knows no scoring.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

_LABEL = re.compile(r"\(?([A-Za-z])[).:](?:\s+(.*))?", re.DOTALL)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SAME = ({"yes", "true"}, {"no", "false"})
_SPOKEN = frozenset().union(*_SAME)
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

# How a letter is named inside a text. A letter without brackets or a word before it is taken for
# one only in capitals, and where no word follows that it could belong to ("A circle").
_BEHIND = (
    r"(?=[*_\"')]*(?:$|[.,;:!?]"
    r"|\s+(?:because|since|as|for|is\s+(?:the\s+)?(?:correct|right|best|true))\b))"
)
_NAMED_LETTERS = (
    re.compile(r"\(([A-Za-z])\)"),
    re.compile(
        r"\b(?i:option|choice|answer|alternative|letter)\s+(?:(?i:is|would be|must "
        rf"be)\s+)?[*_\"'(]*([A-Z]){_BEHIND}"
    ),
    re.compile(r"\b(?i:option|choice|alternative|letter)\s+[*_\"'(]*([A-Za-z])\b(?!')(?=\W|$)"),
    re.compile(
        rf"(?:\b(?i:is|be|choose|chose|pick|select|so|it's)\s+|->\s*|:\s+)[*_\"'(]*([A-Z]){_BEHIND}"
    ),
    re.compile(rf"^[*_\"'\s]*([A-Z]){_BEHIND}"),
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bneither|\bnor|\bnever|\brather than|\binstead of|\bexcept)\s+"
    r"(?:(?:option|choice|the|an?|be|in|is|at)\s+)*[*_\"'(]*$",
    re.IGNORECASE,
)
_DENIAL_CHARS = 60
_NEXT_TOO = re.compile(r"[*_\"')]*\s*(?:/|&|\bor\b|\band\b|,\s*(?:or|and)\b)", re.IGNORECASE)
# Yes, no, true and false are answers where they stand by themselves: "so no", "Yes, ...", "it is
# true", not "no reason".
_ALONE_BEFORE = re.compile(
    r"(?:^|[^\w\s'][*_\"')(]*\s*|\b(?:so|is|are|be|say|says|said|hence|thus|therefore|answer)\s+)[*_\"'(]*$",
    re.IGNORECASE,
)
_ALONE_BEHIND = re.compile(
    r"[*_\"')]*(?:$|[^\w\s]|\s+(?:because|since|as|it|they|you|he|she|we|i|the|this|that|there)\b)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+")


@dataclass(frozen=True)
class _Option:
    choice: str
    letter: str
    """Its own label, or that of its position, in lower case."""
    words: tuple[str, ...]
    """Folded names of its text; none where its text is a letter alone."""


@dataclass(frozen=True)
class _Mention:
    choice: str
    start: int
    end: int


def choice_named(text: str, choices: Sequence[str], *, loosely: bool = True) -> str | None:
    """Return the choice that the text is, or None.

    With `loosely` it may also be the choice that the text begins with, or the only one that it
    speaks of.
    """
    options = _options(tuple(choices))
    exact = _exactly(text, options)
    if exact or not loosely:
        return exact
    # Mentions are the last resort: a text may discuss several choices.
    mentions = _mentions(text, options)
    first = mentions[0] if mentions else None
    line = _joined(text)
    if first and not line[: first.start].strip("*_\"'( ") and not _NEXT_TOO.match(line, first.end):
        return first.choice
    return _only(mentions)


def choice_concluded(paragraph: str, choices: Sequence[str]) -> str | None:
    """Return the only choice that a closing paragraph speaks of, or else its last sentence.

    It is None where neither speaks of exactly one.
    """
    options = _options(tuple(choices))
    last = [sentence for sentence in _SENTENCE_END.split(_joined(paragraph)) if sentence.strip()][
        -1:
    ]
    return (
        _exactly(paragraph, options)
        or _only(_mentions(paragraph, options))
        or _only(_mentions("".join(last), options))
    )


@lru_cache(maxsize=4096)
def _options(choices: tuple[str, ...]) -> tuple[_Option, ...]:
    labels = [_LABEL.fullmatch(choice) for choice in choices]
    if choices and all(labels):
        parts = [(label[1].lower(), label[2] or "") for label in labels if label]
    elif all(len(choice.strip()) == 1 and choice.strip().isalpha() for choice in choices):
        parts = [(choice.strip().lower(), "") for choice in choices]
    else:
        # Nobody calls yes or no by a letter; "a" is then the article.
        spoken = any(_folded(choice) in same for choice in choices for same in _SAME)
        letters = "" if spoken or len(choices) > len(_LETTERS) else _LETTERS
        parts = [(letters[place : place + 1], choice) for place, choice in enumerate(choices)]
    texts = [_folded(text) for _, text in parts]
    return tuple(
        _Option(choice, letter, _called(text, texts))
        for choice, (letter, _), text in zip(choices, parts, texts, strict=True)
    )


def _called(text: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return a text, and yes for true (no for false) and the reverse.

    The second word is left out where another choice has it.
    """
    others = [word for same in _SAME if text in same for word in same if word not in texts]
    return (text, *sorted(others)) if text else ()


def _exactly(text: str, options: Sequence[_Option]) -> str | None:
    folded = _folded(text)
    by_text = next(
        (
            option.choice
            for option in options
            if folded in option.words or folded == _folded(option.choice)
        ),
        None,
    )
    letter = re.fullmatch(r"(?:option |choice )?\(?([a-z])[).:]?", folded)
    return by_text or (_of_letter(letter[1], options) if letter else None)


def _of_letter(letter: str, options: Sequence[_Option]) -> str | None:
    return next((option.choice for option in options if option.letter == letter.lower()), None)


def _only(mentions: Sequence[_Mention]) -> str | None:
    choices = {mention.choice for mention in mentions}
    return choices.pop() if len(choices) == 1 else None


def _mentions(text: str, options: Sequence[_Option]) -> list[_Mention]:
    """Return what a text names and does not deny, in order: letters, and texts as whole words."""
    line = _joined(text)
    found = [*_lettered(line, options), *_worded(line, options)]
    named = [
        mention
        for mention in found
        if not _DENIED.search(line[max(0, mention.start - _DENIAL_CHARS) : mention.start])
    ]
    return sorted(named, key=lambda mention: mention.start)


def _lettered(line: str, options: Sequence[_Option]) -> Iterator[_Mention]:
    if not any(option.letter for option in options):
        return
    label = _LABEL.match(line)
    if label and (choice := _of_letter(label[1], options)):
        yield _Mention(choice, label.start(), label.end(1) + 1)
    for pattern in _NAMED_LETTERS:
        for found in pattern.finditer(line):
            if choice := _of_letter(found[1], options):
                yield _Mention(
                    choice,
                    found.start(1) - (line[found.start(1) - 1 : found.start(1)] == "("),
                    found.end(),
                )


def _worded(line: str, options: Sequence[_Option]) -> Iterator[_Mention]:
    """Yield the choices' texts, longer ones first: one may be a part of another."""
    choice_by_words = {word: option.choice for option in reversed(options) for word in option.words}
    folded = line.casefold()
    # Some letters grow when they are folded, and positions would be off.
    if len(folded) != len(line):
        line = folded
    longest_first = sorted(
        (words for words in choice_by_words if len(words) <= len(folded)), key=len, reverse=True
    )
    if not longest_first:
        return
    for found in re.finditer(
        rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", folded
    ):
        if found[0] not in _SPOKEN or _stands_alone(folded, *found.span()):
            yield _Mention(choice_by_words[found[0]], *found.span())


def _stands_alone(line: str, start: int, end: int) -> bool:
    before = line[max(0, start - _DENIAL_CHARS) : start]
    return _ALONE_BEFORE.search(before) is not None and _ALONE_BEHIND.match(line, end) is not None


def _joined(text: str) -> str:
    return " ".join(text.translate(_QUOTES).split())


def _folded(text: str) -> str:
    """Return the text without case and closing marks, unless marks are all there is."""
    folded = _joined(text).casefold()
    return folded.rstrip(".?!") or folded
