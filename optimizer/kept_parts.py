"""Kept parts of a baseline: texts that stay word for word in every prompt of a search.

Whoever sets a search up names them: a heading line (its section is kept), a literal text, or a span
between `<keep>` and `</keep>` in the baseline. Here names become texts, and a prompt is checked for
them. Knows no operator and no strategy.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.errors import SettingsError, shortened

MOST_QUOTED = 60
"""Maximum number of characters of a part in a sentence about it."""
_HEADING = re.compile(r"[ ]{0,3}(?P<marks>#{1,6})[ \t](?P<title>[^\n]*)$")
_FENCE = re.compile(r"[ ]{0,3}(?:```|~~~)")
_MARK = re.compile(r"<(?P<end>/?)keep>")


@dataclass(frozen=True)
class Baseline:
    """The text of a baseline without its marks, and its kept parts in their order."""

    text: str
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Heading:
    line: str
    title: str
    level: int
    at: int


def read_baseline(text: str, names: Sequence[str] = ()) -> Baseline:
    """Return a baseline with its kept parts.

    A part is kept without the white space around it. Parts that overlap become one.

    Args:
        text: The baseline; spans between `<keep>` and `</keep>` are kept, and the marks removed.
        names: Heading lines, with their marks or without, whose sections are kept up to the next
            heading of the same or a higher level; or literal texts.

    Raises:
        SettingsError: A name is not in the baseline or is in it more than once, or a mark is
            without its other half. The sentence names all of them.
    """
    plain, spans, faults = _marked(text)
    headings = _headings(plain)
    for name in names:
        found = _spans_of(name, plain, headings)
        if len(found) == 1:
            spans += found
        else:
            faults.append(_why_not(name, len(found)))
    keep = tuple(plain[start:end] for start, end in _merged(plain, spans))
    faults += [
        f"the part {_quoted(part)} stands in the baseline more than once"
        for part in dict.fromkeys(keep)
        if len(occurrences(part, plain)) > 1
    ]
    if faults:
        listed = "; ".join(faults)
        raise SettingsError(
            f"keep cannot be used: {listed}. Give a heading line or a text as it stands in the "
            "baseline, once, or mark the part there with <keep> and </keep>."
        )
    return Baseline(plain, keep)


def fault_of(text: str, keep: Sequence[str]) -> str:
    """Return why a text does not hold the kept parts, each once and in their order.

    The fault completes "Your reply cannot be used: ..."; it is "" where there is none.
    """
    behind = 0
    for part in keep:
        places = occurrences(part, text)
        if not places:
            return f"it leaves out or changes the fixed part {_quoted(part)}"
        if len(places) > 1:
            return f"it has the fixed part {_quoted(part)} {len(places)} times"
        if places[0] < behind:
            return f"it has the fixed part {_quoted(part)} in another place among the fixed parts"
        behind = places[0] + len(part)
    return ""


def spans_of_kept(text: str, keep: Sequence[str]) -> list[tuple[int, int]]:
    """Return begin and end of each kept part that stands in a text."""
    places = [(text.find(part), part) for part in keep]
    return [(start, start + len(part)) for start, part in places if start >= 0]


def occurrences(part: str, text: str) -> list[int]:
    """Return every place of a part in a text, overlapping ones too; at most three."""
    places: list[int] = []
    at = text.find(part)
    while at >= 0 and len(places) < 3:
        places.append(at)
        at = text.find(part, at + 1)
    return places


def _marked(text: str) -> tuple[str, list[tuple[int, int]], list[str]]:
    """Return the text without marks, the spans between them, and what is wrong with the marks."""
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    faults: list[str] = []
    length, behind, opened = 0, 0, -1
    for mark in _MARK.finditer(text):
        pieces.append(text[behind : mark.start()])
        length, behind = length + len(pieces[-1]), mark.end()
        if bool(mark["end"]) == (opened < 0):
            fault = "a </keep> has no <keep> before it" if mark["end"] else "a <keep> is in another"
            faults.append(fault)
        if mark["end"] and opened >= 0:
            spans.append((opened, length))
        opened = -1 if mark["end"] else length
    if opened >= 0:
        faults.append("a <keep> has no </keep>")
    plain = "".join(pieces) + text[behind:]
    if any(not plain[start:end].strip() for start, end in spans):
        faults.append("there is nothing between a <keep> and its </keep>")
    return plain, spans, faults


def _headings(text: str) -> list[_Heading]:
    found: list[_Heading] = []
    at, fenced = 0, False
    for line in text.splitlines(keepends=True):
        # A line "# ..." in a code fence is a comment, and no heading.
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line.rstrip("\r\n"))
        if heading:
            title = heading["title"].strip().rstrip("#").strip()
            found.append(_Heading(line.strip(), title, len(heading["marks"]), at))
        at += len(line)
    return found


def _spans_of(name: str, text: str, headings: Sequence[_Heading]) -> list[tuple[int, int]]:
    """Return the spans that a name may mean: sections, or else places of the literal text."""
    wanted = name.strip()
    if not wanted:
        return []
    sections = [
        (heading.at, _end_of(place, text, headings))
        for place, heading in enumerate(headings)
        if wanted in (heading.line, heading.title)
    ]
    # A name in the form of a heading line means nothing else: "# Notes" is no part of "## Notes".
    if sections or _HEADING.match(wanted):
        return sections
    return [(at, at + len(wanted)) for at in occurrences(wanted, text)]


def _end_of(place: int, text: str, headings: Sequence[_Heading]) -> int:
    own = headings[place]
    ends = [later.at for later in headings[place + 1 :] if later.level <= own.level]
    return ends[0] if ends else len(text)


def _merged(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, without white space at their ends; overlapping ones as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(_trimmed(text, span) for span in spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    inside = text[span[0] : span[1]]
    # A reply is read without the white space at its ends, so a kept part must not rest on any.
    start = span[0] + len(inside) - len(inside.lstrip())
    return start, max(start, span[0] + len(inside.rstrip()))


def _why_not(name: str, times: int) -> str:
    if not name.strip():
        return "a name is empty"
    if not times:
        return f"{_quoted(name)} is not in the baseline"
    return f"{_quoted(name)} stands in the baseline {times if times < 3 else 'three or more'} times"


def _quoted(part: str) -> str:
    return repr(shortened(part, MOST_QUOTED))
