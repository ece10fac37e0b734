r"""Foreign regular expressions, matched by RE2 in time that grows with the text's length alone.

RE2 never goes back in a text. A pattern is written as for Python's `re`, and means the same, but
for what RE2 cannot do in such time (references back, looking ahead and behind, atomic groups),
which is refused in one sentence, and for three things that are RE2's: `\b` and `\B` know ASCII
words only; with (?i) a letter is equal to its other case alone, so that a dotted and a dotless i
stay two; a count is at most 1000, nested ones multiplied. Knows no example and no scorer.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

MOST_PATTERN_CHARACTERS = 10_000
MOST_TEXT_CHARACTERS = 500
"""A longer text is not an answer [ours]."""
MOST_BYTES = 8 * 2**20
"""Maximum memory of RE2 for one pattern, its own default; a larger one is refused."""
MOST_CLASSES = 200
r"""Maximum number of classes such as \w in one pattern [ours]: each has hundreds of ranges, and
more do not fit into MOST_BYTES anyway.
"""
_KEPT = 32
"""Number of compiled patterns cached by a process [ours]: to compile one again takes about a
millisecond.
"""

_WORD = r"_\p{L}\p{N}"
_SPACE = (
    r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2029}\x{202f}\x{205f}\x{3000}\p{Zl}"
)
_NO_SPACE = (
    r"\x00-\x08\x0e-\x1b\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}"
    r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}\p{L}"
)
# All categories but L and N; of Pc all but the underscore.
_NO_WORD = (
    r"\x{203f}\x{2040}\x{2054}\x{fe33}\x{fe34}\x{fe4d}-\x{fe4f}\x{ff3f}"
    r"\p{M}\p{Z}\p{S}\p{C}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}"
)
_IN_CLASS = {"w": _WORD, "W": _NO_WORD, "d": r"\p{Nd}", "D": r"\P{Nd}", "s": _SPACE, "S": _NO_SPACE}
_OUTSIDE = {
    "w": f"[{_WORD}]",
    "W": f"[^{_WORD}]",
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "s": f"[{_SPACE}]",
    "S": f"[^{_SPACE}]",
    "Z": r"\z",
}
r"""Classes in RE2's words: Python's \w, \d and \s are Unicode's, RE2's are ASCII's. None of these
ends with a single character, of which a - behind it would make a range.
"""
_AS_THEY_ARE = frozenset("aAbBfnrtvz")
_TOKEN = re.compile(
    r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-3]?[0-7]{2}|0|[pP](?:\{\^?\w+\}|[A-Z])|.)"
    r"|\(\?[aiLmsux]+\)|\(\?(?:<[=!]|[<!=>:#(]|P[<=>]|[A-Za-z-]+:?)?|\{,[0-9]*\}|.",
    re.DOTALL,
)
"""The parts of a pattern, as far as it has to be read: escapes, the beginnings of groups,
counts; else one character.
"""
_REFUSED_GROUPS = {
    "(?=": "looks ahead",
    "(?!": "looks ahead",
    "(?<=": "looks behind",
    "(?<!": "looks behind",
    "(?>": "has an atomic group",
    "(?P=": "refers back to a group",
    "(?(": "depends on a group",
    "(?P>": "calls a group",
}
_OF_RE2 = (
    (
        "invalid repetition size",
        "repeats something more than 1000 times, nested counts multiplied; write a smaller count",
    ),
    (
        "pattern too large",
        "is too large when its counts are written out; write smaller counts, or . in place of \\w",
    ),
    ("nests too deeply", "nests its groups too deeply; write it with fewer"),
)


class Unusable(ValueError):
    """The reason why a pattern cannot be used, as the end of a sentence."""


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern."""

    compiled: Any
    names: frozenset[str]
    """Names of its groups."""

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches the whole text; a long text is not an answer."""
        return (
            len(text) <= MOST_TEXT_CHARACTERS and self.compiled.fullmatch(_whole(text)) is not None
        )

    def search(self, text: str) -> dict[str, str] | None:
        """Return the named groups at the first place where the pattern matches.

        A group that holds nothing has "". The result is None where the pattern matches nowhere.
        """
        found = self.compiled.search(_whole(text))
        return None if found is None else {name: found.group(name) or "" for name in self.names}


def why_unusable(pattern: str) -> str | None:
    """Return what is wrong with a pattern, as the end of a sentence; None if nothing is.

    It never raises.
    """
    try:
        compiled(pattern)
    except Unusable as problem:
        return str(problem)
    return None


@lru_cache(maxsize=_KEPT)
def compiled(pattern: str, *, lines: bool = False) -> Pattern:
    """Return the pattern, ready to match; with `lines`, ^ and $ match at every line.

    Raises:
        Unusable: If it is not a pattern that RE2 can match in bounded time and memory.
    """
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        raise Unusable(f"is longer than {MOST_PATTERN_CHARACTERS} characters; write a shorter one")
    # RE2 reads UTF-8, which has no bytes for an unpaired surrogate.
    if _whole(pattern) != pattern:
        raise Unusable("holds half of a character (a lone surrogate)")
    text = "".join(_Translation(pattern))
    options = re2.Options()
    options.max_mem, options.log_errors = MOST_BYTES, False
    try:
        made = re2.compile(f"(?m:{text})" if lines else text, options)
        return Pattern(made, frozenset(made.groupindex))
    except re2.error as problem:
        raise Unusable(_fault_of(problem.args[0] if problem.args else b"")) from None
    finally:
        # RE2 would cache 128 patterns of its own, each with up to MOST_BYTES.
        re2.purge()


class _Translation:
    """Translates a pattern into RE2's words, part by part; raises Unusable while it is read."""

    def __init__(self, pattern: str) -> None:
        self._tokens = [found[0] for found in _TOKEN.finditer(pattern)]
        self._ascii = False
        self._classes = 0

    def __iter__(self) -> Iterator[str]:
        place = 0
        while place < len(self._tokens):
            token = self._tokens[place]
            place += 1
            if token == "(?#":
                place = self._behind(")", place)
            elif token == "[":
                yield "["
                place = yield from self._class(place)
            elif token.startswith("\\"):
                yield self._escape(token, _OUTSIDE)
            elif token.startswith("(?"):
                yield self._group(token, place)
            else:
                yield f"{{0,{token[2:-1]}}}" if token.startswith("{,") else token

    def _behind(self, end: str, place: int) -> int:
        while place < len(self._tokens):
            place += 1
            if self._tokens[place - 1] == end:
                return place
        raise Unusable("is not a regular expression: missing ), unterminated comment")

    def _class(self, place: int) -> Generator[str, None, int]:
        """Translate a class in square brackets.

        In it a [ means itself, as a ] does that comes first.
        """
        if self._tokens[place : place + 1] == ["^"]:
            yield "^"
            place += 1
        first = place
        while place < len(self._tokens):
            token = self._tokens[place]
            place += 1
            if token == "]" and place - 1 > first:
                yield "]"
                return place
            if token == r"\b":
                yield r"\x08"
            elif token.startswith("\\"):
                yield self._escape(token, _IN_CLASS)
            # the beginning of a group is a row of characters here, as is what looks like a count
            else:
                yield token.replace("[", r"\[").replace("]", r"\]")
        raise Unusable("is not a regular expression: unterminated character set")

    def _escape(self, token: str, meaning: dict[str, str]) -> str:
        name = token[1:2]
        if name in "wWdDsSpP" and name:
            self._count()
        if name in meaning:
            return (
                token.lower()
                if self._ascii and name == "Z"
                else token
                if self._ascii
                else meaning[name]
            )
        if name in ("u", "U") and len(token) > 2:
            return rf"\x{{{token[2:]}}}"
        if name in ("p", "P", "x") and len(token) > 2:
            return token
        if name.isdigit() and (name == "0" or len(token) > 3):
            return rf"\x{{{int(token[1:], 8):x}}}"
        if name.isdigit():
            raise Unusable(
                "refers back to a group, which cannot be matched in bounded time; write it without"
            )
        if name.isascii() and name.isalpha() and name not in _AS_THEY_ARE:
            raise Unusable(f"is not a regular expression: there is no escape {token}")
        return token if name.isascii() else name

    def _group(self, token: str, place: int) -> str:
        if fault := _REFUSED_GROUPS.get(token):
            raise Unusable(f"{fault}, which cannot be matched in bounded time; write it without")
        if token in ("(?P<", "(?:", "(?<"):
            return "(?P<" if token == "(?<" else token
        flags = token[2:].rstrip("):")
        if odd := set(flags) - set("aimsu-") or (
            {"a"} & set(flags) if not token.endswith(")") else set()
        ):
            raise Unusable(
                f"has the flag {min(odd)}, which is not known here; known are i, m and s"
            )
        self._ascii = self._ascii or "a" in flags
        known = flags.replace("a", "").replace("u", "")
        return (
            f"(?{known}{token[2 + len(flags) :]}"
            if known.strip("-")
            else "(?:)"
            if token.endswith(")")
            else "(?:"
        )

    def _count(self) -> None:
        self._classes += 1
        if self._classes > MOST_CLASSES:
            raise Unusable(f"has more than {MOST_CLASSES} classes such as \\w; write a shorter one")


def _fault_of(problem: Any) -> str:
    """Return the message of RE2 as the end of a sentence."""
    message = problem.decode(errors="replace") if isinstance(problem, bytes) else str(problem)
    known = next((sentence for sign, sentence in _OF_RE2 if sign in message), None)
    return known or f"is not a regular expression: {message[:100]}"


def _whole(text: str) -> str:
    """Return the text without unpaired surrogates, which have no bytes in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
