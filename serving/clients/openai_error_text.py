"""The words of an endpoint's refusal: found in any reply, made safe to show, and classified.

Knows no HTTP and no settings.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from optimizer.errors import escaped

LONGEST = 300
"""Maximum number of characters of a quotation [ours]."""
_LEAST_KEY = 4
"""A shorter key is a part of ordinary words, and no secret."""
_SAYING = (
    "message",
    "msg",
    "error",
    "detail",
    "details",
    "error_message",
    "error_description",
    "description",
    "title",
    "reason",
)
_DEPTH, _LISTED = 6, 3
_READ = 20_000
"""Characters of a page that are searched for its words."""
_HEARD = 2000
"""Characters of the words that are classified."""
_OTHER_KEYS = re.compile(r"\b(?:sk|pk|rk|gsk|key)[-_][\w-]{8,}|(?<=\bBearer )\S{8,}", re.IGNORECASE)
_TAGS = re.compile(r"<(?:style|script).*?</(?:style|script)>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
Subject = Literal["balance", "moderation", "context", ""]
_BALANCE_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_not_active",
        "billing_hard_limit_reached",
        "insufficient_balance",
        "insufficient_credits",
    }
)
_MODERATION_CODES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "request_refused",
        "moderation_blocked",
        "data_inspection_failed",
    }
)
_CONTEXT_CODES = frozenset(
    {"context_length_exceeded", "string_above_max_length", "context_window_exceeded"}
)
_BALANCE = re.compile(r"credit balance is too low|insufficient (?:account )?balance", re.IGNORECASE)
_MODERATION = re.compile(
    r"moderation|\bflagged\b|content (?:management )?(?:policy|filter)|content exists "
    r"risk|inappropriate content"
    r"|safety (?:system|filter)|responsible ai|usage polic(?:y|ies)",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"context (?:length|window|size)|maximum context|(?:prompt|input|request)\S* (?:is )?too "
    r"(?:long|large)"
    r"|too many (?:input )?tokens|must have less than \d+ tokens|max_model_len|maximum (?:number "
    r"of )?(?:input )?tokens"
    r"|exceeds? the (?:model's )?max",
    re.IGNORECASE,
)


def words_in(sent: object) -> str:
    """Return the message for people in an error of any form.

    Known forms are OpenAI's, vLLM's, FastAPI's, TGI's, a plain text and a web page; of an unknown
    form it is the JSON. It is "" where there was no message.
    """
    words = _words_of(sent, _DEPTH)
    if words or sent in (None, "", {}, []):
        return words
    return json.dumps(sent, default=str)[: 2 * LONGEST]


def quotable(text: str, key: str) -> str:
    """Return one short line that is safe to show.

    It has the key in no spelling, no others' keys, and no characters that a terminal would obey.
    """
    # Endpoints repeat the key as text, in JSON, as a Python string or in a URL.
    for spelling in (
        {key, json.dumps(key)[1:-1], repr(key)[1:-1], quote(key, safe="")}
        if len(key) >= _LEAST_KEY
        else ()
    ):
        text = text.replace(spelling, "[key]")
    line = escaped(_OTHER_KEYS.sub("[key]", " ".join(text.split())))
    return f"{line[:LONGEST]}…" if len(line) > LONGEST else line.rstrip(".")


def subject_of(status: int, codes: Sequence[object], words: str) -> Subject:
    """Return the subject of a refusal, by its codes where they decide it, else by its words.

    [ours]: endpoints agree on neither. `moderation` and `context` are about the content, and so one
    request's own; `balance` is about the account, and so the end of all. The words of an overload
    (429) or of a breakdown (5xx) do not count: they may name a limit of tokens a minute.
    """
    # Bounded: the patterns would take their time on a web page.
    words = words[:_HEARD]
    known = {code for code in codes if isinstance(code, str)}
    if status == 402 or known & _BALANCE_CODES:
        return "balance"
    if known & _CONTEXT_CODES:
        return "context"
    if known & _MODERATION_CODES:
        return "moderation"
    # Their words may mention a limit of tokens without being about this request.
    if status in (408, 429) or status >= 500:
        return ""
    if _BALANCE.search(words):
        return "balance"
    return (
        "moderation" if _MODERATION.search(words) else "context" if _CONTEXT.search(words) else ""
    )


def _words_of(sent: object, depth: int) -> str:
    if isinstance(sent, str):
        return " ".join(_TAGS.sub(" ", sent[:_READ]).split())
    if not depth or not isinstance(sent, Mapping | list | tuple):
        return ""
    if not isinstance(sent, Mapping):
        return "; ".join(filter(None, (_words_of(one, depth - 1) for one in sent[:_LISTED])))
    words = next(
        filter(None, (_words_of(sent[name], depth - 1) for name in _SAYING if name in sent)), ""
    )
    return f"{_place(sent)}{words}{_behind(sent, words, depth)}"


def _place(sent: Mapping[Any, Any]) -> str:
    """Return the field that a validation error is about, as FastAPI and pydantic name it."""
    place = sent.get("loc")
    names = [str(part) for part in place if part != "body"] if isinstance(place, list) else []
    return f"{'.'.join(names)}: " if names else ""


def _behind(sent: Mapping[Any, Any], words: str, depth: int) -> str:
    """Return the provider's words, which stand behind a gateway's own."""
    metadata = sent.get("metadata")
    raw = _words_of(metadata.get("raw"), depth - 1) if isinstance(metadata, Mapping) else ""
    return f" ({raw})" if raw and raw not in words else ""
