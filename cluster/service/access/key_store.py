"""Stores the service's API keys: their owners, admins and quotas.

Only digests are stored, never a key. A key is 32 random bytes, so a plain SHA-256 is enough: a slow
hash protects only what can be guessed. Knows no HTTP framework.

    STORAGE/keys.json          {"keys": [{"id", "owner", "admin", "digest", "created_at", "quota"}]}
    STORAGE/keys/made.json     a key was made here: from then on one is required, whatever becomes
                               of keys.json
    STORAGE/keys/ID.revoked    this key was revoked: it is refused, even if keys.json has it again
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from pydantic import Field, ValidationError

from cluster.service.core.errors import NotFound
from cluster.service.core.settings import QuotaSettings
from optimizer.errors import StorageError
from serving.ledger.writer_lock import hold
from serving.settings.validation import Strict
from serving.storage import Folder

KEYS_FILE = "keys.json"
MARKS = "keys"
MADE_FILE = "made.json"
REVOKED = ".revoked"
Owner = Annotated[str, Field(pattern=r"^[\w.@+-]+$", max_length=80)]


class StoredKey(Strict):
    """The record of a key."""

    id: str
    owner: Owner
    admin: bool = False
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: int
    quota: QuotaSettings | None = None


class _File(Strict):
    keys: tuple[StoredKey, ...] = ()


@dataclass(frozen=True)
class StoredKeys:
    """The keys of a storage, or why they cannot be read."""

    keys: tuple[StoredKey, ...] = ()
    """The valid keys; none if the file is gone or damaged."""
    made: bool = False
    """True if there ever was a key; then one is required."""
    fault: str = ""
    """The fault of the file, in a sentence for the operator."""


def inspect_keys(storage: Folder) -> StoredKeys:
    """Read the keys of a storage, also where its file is gone or damaged.

    Raises:
        StorageError: The storage does not answer.
    """
    # The marks are files of their own: keys.json can be lost or restored from an old copy, and
    # neither opens the service nor brings a revoked key back.
    marks = (storage / MARKS).names()
    revoked = {name.removesuffix(REVOKED) for name in marks if name.endswith(REVOKED)}
    place = storage.place_of(KEYS_FILE)
    remedy = f"make new keys with `promptray keys add OWNER --storage {storage}`."
    # No keys and no marks is a new service; marks without keys are a loss, and close it.
    if not storage.exists(KEYS_FILE):
        gone = (
            f"{place} is gone, though keys were made here: bring it back from a copy, or {remedy}"
        )
        return StoredKeys(made=True, fault=gone) if marks else StoredKeys()
    try:
        keys = _File.model_validate_json(storage.read(KEYS_FILE)).keys
    except ValidationError:
        return StoredKeys(
            made=True,
            fault=f"{place} is damaged: bring it back from a copy, or move it away and {remedy}",
        )
    return StoredKeys(tuple(key for key in keys if key.id not in revoked), made=True)


def read_keys(storage: Folder) -> tuple[StoredKey, ...]:
    """Return the valid keys; an empty tuple if none was ever made.

    Raises:
        StorageError: The file of keys is gone or damaged, or the storage does not answer.
    """
    found = inspect_keys(storage)
    if found.fault:
        raise StorageError(found.fault)
    return found.keys


def add_key(
    storage: Folder, owner: str, admin: bool = False, quota: QuotaSettings | None = None
) -> tuple[StoredKey, str]:
    """Make a key; its text is returned once and cannot be read again.

    Args:
        storage: The service's folder.
        owner: The owner.
        admin: Whether the key is an admin's.
        quota: The quota of the owner; None: the service's.

    Returns:
        What is stored, and the key itself.

    Raises:
        StorageError: The file of keys is damaged, is being changed by somebody else, or the storage
            does not answer.
    """
    key = f"pr-{secrets.token_urlsafe(32)}"
    stored = StoredKey(
        id=f"key-{secrets.token_hex(4)}",
        owner=owner,
        admin=admin,
        digest=digest_of(key),
        created_at=int(time.time()),
        quota=quota,
    )
    with _changing(storage):
        # Where the file is gone, a new one is made; a damaged one may hold keys worth restoring.
        known = read_keys(storage) if storage.exists(KEYS_FILE) else ()
        mark_made(storage)
        # After the mark: a crash in between closes the service, and the other order could leave it
        # open.
        _write(storage, (*known, stored))
        # Read back: on a store whose writes are not conditional, the lock is not safe.
        if stored not in read_keys(storage):
            raise StorageError(
                f"Somebody else has changed the keys of {storage} at the same moment: try again."
            )
    return stored, key


def remove_key(storage: Folder, id: str) -> StoredKey:
    """Revoke a key for good: the mark of that stays, whatever is written to keys.json.

    Raises:
        NotFound: There is no such key.
        StorageError: The file of keys is gone or damaged, or is being changed by somebody else.
    """
    with _changing(storage):
        keys = read_keys(storage)
        gone = next((key for key in keys if key.id == id), None)
        if gone is None:
            raise NotFound(
                f"There is no key {id!r}; promptray keys list shows those that there are."
            )
        mark_made(storage)
        # First: from here on the key is refused, whatever becomes of the rest.
        (storage / MARKS).write(f"{gone.id}{REVOKED}", _dated())
        _write(storage, tuple(key for key in keys if key.id != id))
    return gone


def mark_made(storage: Folder) -> None:
    """Record that the storage once had a key.

    Raises:
        StorageError: The storage does not answer.
    """
    marks = storage / MARKS
    if not marks.exists(MADE_FILE):
        marks.write(MADE_FILE, _dated())


@contextmanager
def _changing(storage: Folder) -> Iterator[None]:
    """Lock the keys while they are read and written.

    Raises:
        StorageError: Somebody else is changing them, or the storage does not answer.
    """
    marks = storage / MARKS
    marks.make()
    try:
        held = hold(marks)
    except StorageError as problem:
        raise StorageError(
            f"Somebody else is changing the keys of {storage}: try again."
        ) from problem
    try:
        yield
    finally:
        held.release()


def _dated() -> bytes:
    return (json.dumps({"at": int(time.time())}) + "\n").encode()


def _write(storage: Folder, keys: tuple[StoredKey, ...]) -> None:
    content = {"keys": [key.model_dump(mode="json") for key in keys]}
    storage.write(KEYS_FILE, (json.dumps(content, indent=2) + "\n").encode())


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, as 64 hexadecimal digits."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
