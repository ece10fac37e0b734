"""Checksums of a segment's batches, and the search for what is sound in a damaged file.

A batch is one message of an Arrow stream. Its checksum is in the message's own metadata, which
other Arrow readers ignore. It covers every byte of the message, with zeros in its own place, and
the schema message that the batch is read by. Older segments have none, and are read as they are.
Knows no columns.
"""

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import pyarrow as pa

CHECKED = {b"promptray_checksums": b"1"}
"""Metadata of a schema: every batch has a checksum."""
END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_BEGINNING = END[:4]
_DIGEST_BYTES = 16
_NONE_YET = "0" * 2 * _DIGEST_BYTES
_SUM = re.compile(rb"promptray:([0-9a-f]{8}):([0-9a-f]{32})")
FAULTS = (pa.ArrowException, OSError, ValueError, EOFError)
"""Errors that Arrow raises for invalid bytes."""


def blank(rows: int) -> dict[str, str]:
    """Return the metadata to write a batch of so many rows with, before `stamped`."""
    return {"promptray_sum": f"promptray:{rows:08x}:{_NONE_YET}"}


def stamped(head: bytes, message: bytes) -> bytes:
    """Return a message that was written with `blank`, with its checksum.

    `head` is the schema message before it.
    """
    at = _SUM.search(message).start(2)  # type: ignore[union-attr]  # the header comes first, and no text of a user is in it
    return message[:at] + _digest(head, message).hex().encode() + message[at + 2 * _DIGEST_BYTES :]


@dataclass
class Scan:
    """The messages of a file that are sound, and what lies between them."""

    head: bytes
    """The schema message that the batches are read by; b"" where there is none."""
    messages: list[bytes] = field(default_factory=list)
    unchecked: list[bool] = field(default_factory=list)
    """True for each message without a checksum."""
    lost_batches: int = 0
    """Minimum number of lost batches."""
    lost_rows: int = 0
    """Minimum number of lost rows: those of batches whose header can still be read."""
    torn: bool = False
    """The file ends too early: what is lost, if anything, is its end."""
    damaged: bool = False

    @property
    def whole(self) -> bool:
        """Return whether nothing is lost."""
        return not (self.torn or self.damaged)


def scan(data: bytes, known: bytes) -> Scan:
    """Find the messages of a segment.

    `known`: the schema message that this version begins such a file with; what fits only that is
    sound too, since then the beginning of the file is damaged.
    """
    buffer = pa.py_buffer(data)
    first = _message_at(data, buffer, 0)
    head = data[: first[0]] if first and first[1] == "schema" else b""
    found = Scan(head)
    declared = next(iter(CHECKED)) in head
    at = len(head)
    if not head:
        found.damaged = bool(data) and not known.startswith(data)
        found.torn = not found.damaged
        at = _next_sound(data, buffer, 0, (known,))
        found.head = known if at < len(data) else b""
        _lose(found, data[:at], batches=0)
    heads = (head, known) if head and head != known else (known,)
    while at < len(data):
        if _is_end(data, at):
            return found
        message = _message_at(data, buffer, at)
        kind = (
            _judged(data[at : message[0]], heads, declared)
            if message and message[1] == "record batch"
            else "damaged"
        )
        if message and kind != "damaged":
            if kind == "by the known head" and found.head != known:
                found.head, found.damaged = known, True
            found.messages.append(data[at : message[0]])
            found.unchecked.append(kind == "unchecked")
            at = message[0]
            continue
        after = _next_sound(data, buffer, at + 1, heads)
        if (
            message is None
            and after == len(data)
            and not data.endswith(END)
            and _BEGINNING.startswith(data[at : at + 4])
        ):
            found.torn = True
        else:
            found.damaged = True
        _lose(found, data[at:after])
        at = after
    if not found.damaged:
        # There was no end of the stream.
        found.torn = True
    return found


def _judged(message: bytes, heads: tuple[bytes, ...], declared: bool) -> str:
    """Return by what a message is sound, or "damaged".

    It is "by its head", "by the known head" or "unchecked".
    """
    # The checksum stands in the header of the message, and is looked for nowhere else.
    found = _SUM.search(message, 8, 8 + int.from_bytes(message[4:8], "little"))
    if found is None:
        return "damaged" if declared else "unchecked"
    claimed = bytes.fromhex(found[2].decode())
    for head in heads:
        # The head is part of the digest: a batch read by another schema would be another batch.
        if _digest(head, message) == claimed:
            return "by its head" if head is heads[0] else "by the known head"
    return "damaged"


def _next_sound(data: bytes, buffer: Any, begin: int, heads: tuple[bytes, ...]) -> int:
    """Return the position of the next message whose checksum fits, or of the end of the stream.

    Without either it is the end of the file.
    """
    at = data.find(_BEGINNING, begin)
    while at >= 0:
        if _is_end(data, at):
            return at
        message = _message_at(data, buffer, at)
        if (
            message
            and message[1] == "record batch"
            and _judged(data[at : message[0]], heads, declared=True) != "damaged"
        ):
            return at
        at = data.find(_BEGINNING, at + 1)
    return len(data)


def _lose(found: Scan, gap: bytes, batches: int = 1) -> None:
    """Count what was in a gap: so many batches, or more where more headers are found."""
    # The number of rows is in the header, which often survives where the batch does not.
    rows = [int(one[1], 16) for one in _SUM.finditer(gap)]
    found.lost_batches += max(batches, len(rows))
    found.lost_rows += sum(rows)


def _message_at(data: bytes, buffer: Any, at: int) -> tuple[int, str] | None:
    """Return the end and the type of the message that begins there; None where none does."""
    if data[at : at + 4] != _BEGINNING or data[at + 4 : at + 8] in (b"", END[4:]):
        return None
    source = pa.BufferReader(buffer.slice(at))
    try:
        kind = str(pa.ipc.read_message(source).type)
    except FAULTS:
        return None
    return at + source.tell(), kind


def _digest(head: bytes, message: bytes) -> bytes:
    found = _SUM.search(message)
    at = found.start(2) if found else 0
    summed = blake2b(head, digest_size=_DIGEST_BYTES)
    summed.update(message[:at])
    summed.update(_NONE_YET.encode())
    summed.update(memoryview(message)[at + 2 * _DIGEST_BYTES :])
    return summed.digest()


def _is_end(data: bytes, at: int) -> bool:
    return at + len(END) == len(data) and data.endswith(END)
