"""What the ledger keeps, and the key that it is found by. Knows no file."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from optimizer.types import Completion, Message, Request, Sampling

SCHEMA_VERSION = 1
"""Part of every key and of every segment: answers of another version are never mistaken for ours.
"""
_encode = json.JSONEncoder(
    ensure_ascii=True
).encode  # json.dumps would ask for its defaults at every call


@dataclass(frozen=True)
class Paid:
    """An answer, and what was asked.

    Holds no secret: keys and addresses with keys are in no request and in no model's identity.
    """

    answer: Completion
    model: str
    """The model's identity, as it stands in the key."""
    request: Request


def key_of(model: str, request: Request) -> bytes:
    """32 bytes that depend on all that decides an answer (model and revision, messages, sampling,
    sample), not on the purpose.
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
        content.append("raw")  # named only where it holds: the keys of chats stay what they were
    return hashlib.sha256(_encode(content).encode("ascii")).digest()


def request_text(request: Request) -> str:
    """The request as JSON in ASCII, so that a lone surrogate is no trouble; without its purpose,
    which decides no answer.
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
    """What `request_text` was made of; the purpose is the default one.

    Raises ValueError, KeyError or TypeError for other text.
    """
    held = json.loads(text)
    return Request(
        tuple(Message(message["role"], message["content"]) for message in held["messages"]),
        Sampling(**held["sampling"]),
        held["sample"],
        raw=held["raw"],
    )
