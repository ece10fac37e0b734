"""What the ledger keeps, the key that it is found by, and how it lies in memory. Knows no file."""

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optimizer.types import Completion, Message, Request, Sampling

SCHEMA_VERSION = 1
"""Part of every key and of every segment: answers of another version are never mistaken for
valid ones.
"""
_HEADER = struct.Struct("<IB3qI")
"""Number of the model, flags, the three counts of tokens, length of the metadata."""
_TRUNCATED, _PROMPT_KNOWN, _COMPLETION_KNOWN, _CACHED_KNOWN = 1, 2, 4, 8
_NO_METADATA = b"{}"
Row = tuple[bytes, bytes, bool, int | None, int | None, bytes, int | None, str | None]
"""Key, text, truncated, prompt and completion tokens, metadata, cached tokens, model: an entry as
it stands in a segment, in the order of format.ANSWER_COLUMNS.
"""
_encode = json.JSONEncoder(
    ensure_ascii=True
).encode  # json.dumps would ask for its defaults at every call


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
        # Only where it holds, so that the keys of chats stay the same; and so the row below.
        content.append("raw")
    if request.row is not None:
        content.append(json.dumps(dict(request.row), sort_keys=True))
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
        | ({} if request.row is None else {"row": dict(request.row)})
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
        row=data.get("row"),
    )


class PackedAnswers:
    """The answers of a ledger in memory; of a key that is added twice the first answer stands.

    As an object an answer takes about 900 bytes, and packed into bytes 550, of which 350 are its
    own text. It becomes an object again when it is asked for, which takes about a microsecond. One
    thread may add while others read.
    """

    def __init__(self) -> None:
        self._packed_by_key: dict[bytes, bytes] = {}
        self._models: list[str] = []
        self._number_by_model: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._packed_by_key)

    def __contains__(self, key: object) -> bool:
        return key in self._packed_by_key

    def add(self, key: bytes, model: str, answer: Completion) -> None:
        """Add an answer that was paid for."""
        text = answer.text.encode("utf-8", "surrogatepass")
        counts = (answer.prompt_tokens, answer.completion_tokens)
        row = (key, text, answer.truncated, *counts, metadata_bytes(answer))
        self.add_rows([(*row, answer.cached_tokens, model)])

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Add entries as a segment holds them."""
        for key, text, truncated, prompt, completion, metadata, cached, model in rows:
            flags = (
                truncated * _TRUNCATED
                | (prompt is not None) * _PROMPT_KNOWN
                | (completion is not None) * _COMPLETION_KNOWN
                | (cached is not None) * _CACHED_KNOWN
            )
            number = self._number_by_model.get(model or "")
            if number is None:
                number = self._number_by_model[model or ""] = len(self._models)
                self._models.append(model or "")  # before any answer that names it can be read
            counts = (prompt or 0, completion or 0, cached or 0)
            header = _HEADER.pack(number, flags, *counts, len(metadata))
            self._packed_by_key.setdefault(key, header + metadata + text)

    def get(self, key: bytes) -> Completion | None:
        """Return the answer of a key, marked as one from the ledger; None where there is none."""
        packed = self._packed_by_key.get(key)
        if packed is None:
            return None
        _, flags, prompt, completion, cached, length = _HEADER.unpack_from(packed)
        begin = _HEADER.size + length
        metadata = packed[_HEADER.size : begin]
        return Completion(
            packed[begin:].decode("utf-8", "surrogatepass"),
            bool(flags & _TRUNCATED),
            prompt if flags & _PROMPT_KNOWN else None,
            completion if flags & _COMPLETION_KNOWN else None,
            from_ledger=True,
            metadata={} if metadata == _NO_METADATA else json.loads(metadata),
            cached_tokens=cached if flags & _CACHED_KNOWN else None,
        )

    def model_of(self, key: bytes) -> str:
        """Return whose answer it is; "" where that is not recorded, or there is no such key."""
        packed = self._packed_by_key.get(key)
        return self._models[_HEADER.unpack_from(packed)[0]] if packed else ""


def metadata_bytes(answer: Completion) -> bytes:
    """Return the metadata of an answer as a segment holds them."""
    return json.dumps(dict(answer.metadata)).encode() if answer.metadata else _NO_METADATA


def check_row(row: Row) -> None:
    """Raise ValueError where the text or the metadata of an entry cannot be decoded."""
    row[1].decode("utf-8", "surrogatepass")
    if row[5] != _NO_METADATA:
        json.loads(row[5])
