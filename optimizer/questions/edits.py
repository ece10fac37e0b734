"""Search-and-replace blocks: how a long prompt is changed, without writing it out again.

Each block names a text of the prompt, which stands there once and in no fixed part, and the text
that takes its place. Whoever asks for a new prompt asks here, whatever its length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from optimizer.kept_parts import occurrences, spans_of_kept
from optimizer.prompt import without_thinking
from optimizer.questions.reply import Unreadable, expect_accepted, most_characters, read_prompt
from optimizer.questions.template import Markup, shown_part, tagged, unescape
from optimizer.questions.told import AboutTask, kept_by

LONG = 2_000
"""A prompt with more characters is changed by blocks, as a model copies a long text with mistakes,
and pays for each word of it [ours].
"""
MOST_EDITS = 20
"""More blocks than this are a new prompt [ours]."""
MOST_CHANGES = 4_000
"""Maximum number of characters that show what one long prompt has other than another [ours]."""
_FORM = "\nReply in exactly this form"
_BLOCKS = """
The prompt is long, so do not write it out again: change it by one to six edits. Each edit names a
text of the prompt, copied word for word, long enough to stand there only once and in no fixed part,
and the text that takes its place. To add something, name the text behind which it belongs, and
repeat that text before what is new. An empty replacement leaves the text out.

Reply in exactly this form, one such block an edit, and nothing after it:
<edit>
<search>a text of the prompt, word for word</search>
<replace>the text in its place</replace>
</edit>
"""
_QUOTED = 60


@dataclass(frozen=True)
class _Edit:
    search: str
    replace: str


def is_long(prompt: str) -> bool:
    """Return whether a prompt is changed by blocks."""
    return len(prompt) > LONG


def in_blocks(text: str) -> str:
    """Return a question that asks for blocks in place of a whole prompt."""
    return f"{text.rpartition(_FORM)[0].rstrip()}\n{_BLOCKS}"


def read_edited(reply: str, old: str, task: AboutTask = "") -> str:
    """Return the old prompt with a reply's blocks applied; a whole new prompt is read as well.

    Raises:
        Unreadable: If a block cannot be applied, or the result is no prompt that may be used.
    """
    text = without_thinking(reply)
    if "<edit>" not in text and "</prompt>" in text:
        return read_prompt(reply, old, task)
    edits = _edits(text)
    spans = _places(edits, old, spans_of_kept(old, kept_by(task)))
    new = old
    # From the end on, so that the places before stay what they are.
    for (start, end), edit in sorted(zip(spans, edits, strict=True), reverse=True, key=_first):
        new = new[:start] + edit.replace + new[end:]
    if new.strip() == old.strip():
        raise Unreadable("its edits change nothing")
    if len(new) > (most := most_characters(old, task)):
        raise Unreadable(f"the prompt with its edits is longer than {most} characters")
    if not new.strip():
        raise Unreadable("the prompt with its edits is empty")
    return expect_accepted(new.strip(), task)


def changes(base: str, other: str) -> Markup:
    """Return what another version of a long prompt has other than `base`, line by line."""
    old, new = base.splitlines(), other.splitlines()
    lines: list[str] = []
    for kind, start, end, begin, stop in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            lines += [f"- {line}" for line in old[start:end]]
            lines += [f"+ {line}" for line in new[begin:stop]]
    return Markup(tagged("changes", shown_part("\n".join(lines) or "none", MOST_CHANGES)))


def _first(pair: tuple[tuple[int, int], _Edit]) -> tuple[int, int]:
    return pair[0]


def _edits(text: str) -> list[_Edit]:
    """Return the blocks of a reply, in its order."""
    inside, behind = _inside(text, "edit")
    if not inside:
        raise Unreadable("it has no <edit><search>...</search><replace>...</replace></edit>")
    if text[behind:].strip(" \t\r\n`~"):
        raise Unreadable("it goes on behind its last </edit>")
    if len(inside) > MOST_EDITS:
        raise Unreadable(f"it has {len(inside)} edits, and at most {MOST_EDITS} are allowed")
    return [_edit(number, block) for number, block in enumerate(inside, 1)]


def _edit(number: int, block: str) -> _Edit:
    texts = [_inside(block, tag)[0] for tag in ("search", "replace")]
    for tag, found in zip(("search", "replace"), texts, strict=True):
        if len(found) != 1:
            raise Unreadable(f"its edit {number} has {len(found)} <{tag}>, and must have one")
    search, replace = (unescape(found[0]) for found in texts)
    if not search.strip():
        raise Unreadable(f"the <search> of its edit {number} is empty")
    return _Edit(search, replace)


def _places(
    edits: Sequence[_Edit], old: str, kept: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the span of each block's text.

    Raises:
        Unreadable: Names every block that cannot be applied, and why.
    """
    spans: list[tuple[int, int]] = []
    faults: list[str] = []
    for number, edit in enumerate(edits, 1):
        places = occurrences(edit.search, old)
        span = (places[0], places[0] + len(edit.search)) if len(places) == 1 else (0, 0)
        if not places:
            fault = "does not stand in the prompt, word for word"
        elif len(places) > 1:
            fault = "stands in the prompt more than once"
        elif any(_overlap(span, other) for other in kept):
            fault = "is in a fixed part"
        elif any(_overlap(span, other) for other in spans):
            fault = "overlaps that of an edit before it"
        else:
            spans.append(span)
            continue
        shown = " ".join(edit.search.split())[:_QUOTED]
        faults.append(f"the <search> of its edit {number} ({shown!r}) {fault}")
    if faults:
        raise Unreadable("; ".join(faults))
    return spans


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _inside(text: str, tag: str) -> tuple[list[str], int]:
    """Return what stands in each such tag, without the line breaks at its ends, and the last end.

    In one walk: a pattern would search for the end again from every opening without one.
    """
    found: list[str] = []
    opening, closing, at = f"<{tag}>", f"</{tag}>", 0
    while (start := text.find(opening, at)) >= 0 and (end := text.find(closing, start)) >= 0:
        inside = text[start + len(opening) : end]
        found.append(re.sub(r"\A\r?\n|\r?\n\Z", "", inside))
        at = end + len(closing)
    return found, at
