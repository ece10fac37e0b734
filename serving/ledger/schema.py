"""The stored values of the ledger, and the key of a request.

Knows no file.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from optimizer.types import Completion, Message, Request, Sampling

SCHEMA_VERSION = 1
"""Part of every key and of every segment: answers of another version are never mistaken for
valid ones.
"""
# Made once: json.dumps would look up its defaults at every call.
_encode = json.JSONEncoder(ensure_ascii=True).encode


@dataclass(frozen=True)
class Paid:
    """An answer and its request.

    Holds no secret: keys and addresses with keys are in no request and in no model's identity.
    """

    answer: Completion
    model: str
    """The model's identity, as it is part of the key."""
    request: Request


def key_of(model: str, request: Request) -> bytes:
    """Return 32 bytes that depend on all that decides an answer.

    That is model and revision, messages, sampling and sample, but not the purpose.
    """
    content: list[Any] = [
        SCHEMA_VERSION,
        model,
        [(message.role, message.content) for message in request.messages],
        float(request.sampling.temperature),
        request.sampling.max_tokens,
        request.sample,
    ]
    if request.raw:
        # Only where it holds, so that the keys of chats stay the same.
        content.append("raw")  # named only where it holds: the keys of chats stay what they were
    return hashlib.sha256(_encode(content).encode("ascii")).digest()


def request_text(request: Request) -> str:
    """Return the request as JSON in ASCII, without its purpose.

    ASCII, so that an unpaired surrogate is no trouble; the purpose decides no answer.
    """
    return _encode(
        {
            "messages": [
                {"role": message.role, "content": message.content} for message in request.messages
            ],
            "sampling": {
                "temperature": request.sampling.temperature,
                "max_tokens": request.sampling.max_tokens,
            },
            "sample": request.sample,
            "raw": request.raw,
        }
    )


def request_of(text: str) -> Request:
    """Return the request behind `request_text`, with the default purpose.

    Raises:
        ValueError: For other text, as are KeyError and TypeError.
    """
    data = json.loads(text)
    return Request(
        tuple(Message(message["role"], message["content"]) for message in data["messages"]),
        Sampling(**data["sampling"]),
        data["sample"],
        raw=data["raw"],
    )
