r"""The final answer of a response, in the ways in which people and models write it.

    explicit    an `Answer:` line in any decoration (**Answer**: X, ### Final answer: X),
                \boxed{X}, <answer>X</answer>, #### X,
                {"answer": "X"}: the last of them counts
    sentence    what stands behind the last "the answer is"
    closing     the last paragraph with any content: only a scorer can decide whether that is an
                answer

Reasoning between <think> tags is none of it. Knows no task and no scorer. Every search takes time
with the text's length.
"""

import json
import re
from dataclasses import dataclass

from optimizer.prompt import ANSWER_LINE, without_thinking

_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_TAG = re.compile(r"</(?:final_)?answer>", re.IGNORECASE)
_OPEN_TAG = re.compile(r"<(?:final_)?answer>", re.IGNORECASE)
_HASHES = re.compile(r"^####[ \t]*(\S.*)$", re.MULTILINE)
_ANSWER_IS = re.compile(
    r"\b(?:answer|result)[*_`\"'\u201d]{0,3}(?: is|:)(?::|[ \t]*that\b)?([^\n]*)", re.IGNORECASE
)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*$", re.MULTILINE)
_PLEASANTRY = re.compile(
    r"(?:i hope|let me know|feel free|if you (?:have|need|want|would)|please let|happy to|shall "
    r"i|(?:would|do) you|is there any)\b",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"\\(?:text|mathrm|mathbf|textbf|mathit|mbox)\s?\{([^{}]*)\}")
_SENTENCE_END = re.compile(
    r"(?<=\w{3})[*_\"'\u201d)]{0,3}[.!?][*_\"'\u201d)]{0,3}[ \t]+(?=[*_\"'\u201c(]{0,3}[A-Z0-9])"
)
MOST_LAYERS = 8
"""Maximum number of marks around an answer that are removed: nobody puts more, and removing
thousands would take time with the square of the text [ours].
"""
_MARKS = "*_`\"'\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb \t"
_MATH = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))


@dataclass(frozen=True)
class FinalAnswer:
    """The answer of a response, in each way of giving one.

    `explicit` and `sentence` are None where a response has none; `closing` is "" where it is empty.
    """

    explicit: str | None
    sentence: str | None
    closing: str
    last_line: str
    """The last line of all, a question or a pleasantry too: it counts only where it is an answer
    word for word.
    """
    block: str
    """All text behind the label of the last `Answer:` line, or the whole response: for answers
    of several lines.
    """


def final_answer(response: str) -> FinalAnswer:
    """Return the final answer of a response, in each of the ways in which it may give one."""
    text = without_thinking(response)
    found = [*_answer_lines(text), *_boxes(text), *_tags(text), *_numbered(text)]
    # The last form in the text counts, of whatever kind: models correct themselves.
    last = max(found, default=None)
    explicit = last[1] if last else _of_json(text)
    block = next((text[start:] for start, _ in reversed(_answer_lines(text))), text)
    lines = [line.strip() for line in _FENCE.sub("", text).splitlines() if line.strip()]
    return FinalAnswer(
        explicit, _sentence(text), _closing(text), "".join(lines[-1:]), block.strip()
    )


def bare(text: str) -> str:
    """Return the text without marks around an answer.

    These are emphasis, quotes, code and math marks, and a closing full stop. Three dots belong to
    the text; so do marks where they are all there is.
    """
    now = text.strip()
    for _ in range(MOST_LAYERS):
        before = now
        now = _WRAPPED.sub(r"\1", now) if "\\" in now else now
        box = _BOX.match(now)
        if box and now.endswith("}"):
            now = now[box.end() : -1]
        for opening, closing in _MATH:
            if (
                len(now) > len(opening + closing)
                and now.startswith(opening)
                and now.endswith(closing)
            ):
                now = now[len(opening) : -len(closing)]
        now = now.strip(_MARKS)
        if now.endswith(".") and not now.endswith(".."):
            now = now[:-1].rstrip(_MARKS)
        # Marks may be nested, so they are removed until nothing changes.
        if now == before:
            break
    return now or text.strip()


def first_sentence(text: str) -> str:
    """Return the text up to the end of its first sentence.

    An abbreviation of one or two letters ends none.
    """
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def _answer_lines(text: str) -> list[tuple[int, str]]:
    """Return (position behind the label, answer) of each answer line.

    A label with nothing behind it is answered by the next line with any content.
    """
    lines = []
    for found in ANSWER_LINE.finditer(text):
        answer = found["answer"].strip(" \t*_")
        if not answer:
            answer = next(
                (
                    line.strip()
                    for line in text[found.end() : found.end() + 2000].splitlines()
                    if line.strip() and not _FENCE.fullmatch(line)
                ),
                "",
            )
        if answer:
            lines.append((found.start("answer"), answer))
    return lines


def _boxes(text: str) -> list[tuple[int, str]]:
    """Return the last box whose braces close."""
    # The last three only: unclosed boxes would make the search quadratic.
    for found in reversed(list(_BOX.finditer(text))[-3:]):
        depth = 1
        for place in range(found.end(), len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if depth == 0:
                inside = text[found.end() : place].strip()
                return [(found.start(), inside)] if inside else []
    return []


def _tags(text: str) -> list[tuple[int, str]]:
    closing = next(reversed(list(_TAG.finditer(text))), None)
    opening = (
        next(reversed(list(_OPEN_TAG.finditer(text, 0, closing.start()))), None)
        if closing
        else None
    )
    inside = text[opening.end() : closing.start()].strip() if opening and closing else ""
    return [(opening.start(), inside)] if opening and inside else []


def _numbered(text: str) -> list[tuple[int, str]]:
    """Return the answers behind four hashes, as GSM8K's solutions end.

    A heading that has "Answer:" is an answer line.
    """
    return [
        (found.start(), found[1].strip())
        for found in _HASHES.finditer(text)
        if ANSWER_LINE.match(found[0]) is None
    ]


def _of_json(text: str) -> str | None:
    """Return the answer of a response that is one JSON object, in a code fence or not."""
    body = _FENCE.sub("", text).strip()
    if not (body.startswith("{") and body.endswith("}")):
        return None
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = next((data[key] for key in ("answer", "final_answer", "Answer") if key in data), None)
    return str(value) if isinstance(value, str | int | float) and str(value).strip() else None


def _sentence(text: str) -> str | None:
    endings = [found.strip(" \t:*_") for found in _ANSWER_IS.findall(text)]
    return next((found for found in reversed(endings) if found.strip(" .")), None)


def _closing(text: str) -> str:
    """Return the last paragraph that is neither a fence, nor a question, nor a pleasantry."""
    paragraph: list[str] = []
    for line in reversed(_FENCE.sub("", text).splitlines()):
        content = line.strip()
        if not content and paragraph:
            break
        if content and not (
            not paragraph and (_PLEASANTRY.match(content) or content.endswith("?"))
        ):
            paragraph.insert(0, content)
    return "\n".join(paragraph) or text.strip()
