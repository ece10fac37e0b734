"""The content of a ledger, and its check.

It reads, and never disturbs a writer. Knows no prices and prints nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from serving.ledger.damage import COPY_ENDING, damaged_copies, sentence
from serving.ledger.format import ANSWER_COLUMNS, ENDING, Contents, answers, contents
from serving.ledger.schema import key_of, request_of
from serving.ledger.usage import USAGE_FILE, Use, read_usage
from serving.storage import Folder

UNKNOWN = ""
"""The model of an entry of an old segment, which has none."""
_OWN_FILES = (USAGE_FILE,)


@dataclass
class Held:
    """The entries of one model; a key that was recorded twice is one entry."""

    entries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unmeasured: int = 0
    """Entries without a known number of tokens."""


@dataclass(frozen=True)
class Summary:
    """A ledger as it is now."""

    entries: int
    segments: int
    size_bytes: int
    first_recorded: Any
    last_recorded: Any
    """UTC datetimes, or None where no entry has one."""
    held_by_model: dict[str, Held]
    use_by_model: dict[str, Use]
    faults: tuple[str, ...] = ()
    """A sentence for each segment that is not read in full."""


@dataclass
class Findings:
    """The findings of `verify`; the ledger is sound if `faults`, one sentence each, is empty."""

    segments: int = 0
    entries: int = 0
    unchecked: int = 0
    """Entries of old segments, which do not hold their request."""
    unsummed: int = 0
    """Entries of old segments, which have no checksum: changes of their answers are not found."""
    repeated: int = 0
    """Entries whose key another segment has too: copies, of which the first counts."""
    faults: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    """Copies of damaged segments, made when the ledger was compacted."""


def read_segments(folder: Folder, columns: Sequence[str]) -> Iterator[tuple[str, int, Contents]]:
    """Yield name, size in bytes and contents of every segment, in their order.

    Raises:
        StorageError: If a file cannot be read.
    """
    for name in folder.names(ENDING):
        data = folder.read(name)
        yield name, len(data), contents(data, columns)


def summary(folder: Folder) -> Summary:
    """Return a summary of a ledger.

    Raises:
        StorageError: If a file cannot be read.
    """
    seen: set[bytes] = set()
    held_by_model: dict[str, Held] = {}
    segments = size = 0
    times: list[Any] = []
    faults: list[str] = []
    for name, length, read in read_segments(
        folder, ("key", "model", "prompt_tokens", "completion_tokens", "recorded_at")
    ):
        segments += 1
        size += length
        faults += filter(None, [sentence(name, read)])
        for batch in read.batches:
            times += [
                end for end in pc.min_max(batch["recorded_at"]).as_py().values() if end is not None
            ]
            _add(batch, held_by_model, seen)
    return Summary(
        len(seen),
        segments,
        size,
        min(times, default=None),
        max(times, default=None),
        held_by_model,
        read_usage(folder),
        tuple(faults),
    )


def verify(folder: Folder) -> Findings:
    """Read everything to its end, and hash every request again.

    Raises:
        StorageError: If a file cannot be read.
    """
    findings = Findings(
        copies=damaged_copies(folder),
        faults=[
            f"{name} is no file of a ledger."
            for name in folder.names()
            if not name.endswith((ENDING, COPY_ENDING)) and name not in _OWN_FILES
        ],
    )
    seen: set[bytes] = set()
    for name, _, read in read_segments(folder, (*ANSWER_COLUMNS, "request")):
        findings.segments += 1
        findings.unsummed += read.unchecked
        findings.faults += filter(None, [sentence(name, read)])
        for batch in read.batches:
            _check(name, batch, findings, seen)
    return findings


def _check(name: str, batch: Any, findings: Findings, seen: set[bytes]) -> None:
    wrong = 0
    for key, model, request in zip(
        *(batch.column(column).to_pylist() for column in ("key", "model", "request")), strict=True
    ):
        # The two copies of a segment that grows hold the same entries.
        if key in seen:
            findings.repeated += 1
        else:
            seen.add(key)
            findings.entries += 1
        if request is None or model is None:
            findings.unchecked += 1
        else:
            # The key is a hash of the request, so a changed request shows.
            wrong += not _fits(key, model, request)
    if wrong:
        findings.faults.append(
            f"{name} has {wrong:,} entries whose key is not the hash of their request."
        )
    if unreadable := _unreadable(batch):
        findings.faults.append(
            f"{name} has a batch of {batch.num_rows:,} entries whose answers cannot be read "
            f"({unreadable})."
        )


def _unreadable(batch: Any) -> str:
    try:
        for _ in answers(batch):
            pass
    except ValueError as problem:
        return str(problem)
    return ""


def _fits(key: bytes, model: str, request: str) -> bool:
    try:
        return key_of(model, request_of(request)) == key
    except (ValueError, KeyError, TypeError):
        return False


def _add(batch: Any, held_by_model: dict[str, Held], seen: set[bytes]) -> None:
    columns = (
        batch.column(name).to_pylist()
        for name in ("key", "model", "prompt_tokens", "completion_tokens")
    )
    for key, model, prompt, completion in zip(*columns, strict=True):
        if key not in seen:
            seen.add(key)
            held = held_by_model.setdefault(model or UNKNOWN, Held())
            held.entries += 1
            held.prompt_tokens += prompt or 0
            held.completion_tokens += completion or 0
            held.unmeasured += prompt is None or completion is None
