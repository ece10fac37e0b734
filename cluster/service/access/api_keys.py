"""The service's keys: whose they are, who is an admin, what each may use.

Keeps digests, never a key. Knows no HTTP framework.

A key is 32 bytes of chance, so that its SHA-256 tells as little as a slow hash would: there is
nothing to guess.

    STORAGE/keys.json          {"keys": [{"id", "owner", "admin", "digest", "created_at", "quota"}]}
    STORAGE/keys/made.json     keys were made here: whatever becomes of keys.json, nobody comes in
                               without one
    STORAGE/keys/ID.revoked    that key was taken back: it opens nothing, even if keys.json has it
                               again
"""

import asyncio
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated

from pydantic import Field, ValidationError

from cluster.service.core.backend import Principal
from cluster.service.core.errors import NotFound
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from optimizer.errors import SettingsError, StorageError
from serving.gateway.api_keys import Keys
from serving.gateway.errors import Refused
from serving.gateway.settings import expect_guarded
from serving.ledger.writer_lock import hold
from serving.settings.validation import Strict
from serving.storage import Folder, open_folder

KEYS_FILE = "keys.json"
MARKS = "keys"
MADE_FILE = "made.json"
REVOKED = ".revoked"
SEEN_WITHIN_S = 2.0
"""A change of the keys is seen by every replica after so long."""
LOCAL = Principal("local", admin=True)
"""Everybody, on a machine that asks for no keys."""
Owner = Annotated[str, Field(pattern=r"^[\w.@+-]+$", max_length=80)]
_log = logging.getLogger(__name__)


class StoredKey(Strict):
    """What is kept of a key."""

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
    """What a storage says of its keys."""

    keys: tuple[StoredKey, ...] = ()
    """Those that open; none of a file that is gone or damaged."""
    made: bool = False
    """Was there ever a key? Then nobody comes in without one."""
    fault: str = ""
    """What is wrong with the file, in a sentence for the operator."""


def look(storage: Folder) -> StoredKeys:
    """What the storage says now. Raises StorageError where it does not answer."""
    marks = (storage / MARKS).names()
    revoked = {name.removesuffix(REVOKED) for name in marks if name.endswith(REVOKED)}
    place = storage.place_of(KEYS_FILE)
    anew = f"make new keys with `promptray keys add OWNER --storage {storage}`."
    if not storage.exists(KEYS_FILE):
        gone = f"{place} is gone, though keys were made here: bring it back from a copy, or {anew}"
        return StoredKeys(made=True, fault=gone) if marks else StoredKeys()
    try:
        keys = _File.model_validate_json(storage.read(KEYS_FILE)).keys
    except ValidationError:
        return StoredKeys(
            made=True,
            fault=f"{place} is damaged: bring it back from a copy, or move it away and {anew}",
        )
    return StoredKeys(tuple(key for key in keys if key.id not in revoked), made=True)


def read_keys(storage: Folder) -> tuple[StoredKey, ...]:
    """The keys that open; none where none was ever made.

    Raises StorageError where the file is gone or damaged.
    """
    found = look(storage)
    if found.fault:
        raise StorageError(found.fault)
    return found.keys


def add_key(
    storage: Folder, owner: str, admin: bool = False, quota: QuotaSettings | None = None
) -> tuple[StoredKey, str]:
    """Make a key, which is shown to nobody again. Raises StorageError."""
    key = f"pr-{secrets.token_urlsafe(32)}"
    stored = StoredKey(
        id=f"key-{secrets.token_hex(4)}",
        owner=owner,
        admin=admin,
        digest=_digest(key),
        created_at=int(time.time()),
        quota=quota,
    )
    with _changing(storage):
        # Where the file is gone, the operator makes keys anew; a damaged one may hold keys that are
        # worth bringing back.
        known = read_keys(storage) if storage.exists(KEYS_FILE) else ()
        mark_made(storage)
        _write(storage, (*known, stored))
        if stored not in read_keys(
            storage
        ):  # a store's lock is only as good as its writes are conditional
            raise StorageError(
                f"Somebody else has changed the keys of {storage} at the same moment: try again."
            )
    return stored, key


def remove_key(storage: Folder, id: str) -> StoredKey:
    """Take a key back, for good: its mark stands, whoever writes the file.

    Raises NotFound, StorageError.
    """
    with _changing(storage):
        keys = read_keys(storage)
        gone = next((key for key in keys if key.id == id), None)
        if gone is None:
            raise NotFound(
                f"There is no key {id!r}; promptray keys list shows those that there are."
            )
        mark_made(storage)
        (storage / MARKS).write(f"{gone.id}{REVOKED}", _told())
        _write(storage, tuple(key for key in keys if key.id != id))
    return gone


def mark_made(storage: Folder) -> None:
    """Keep in mind that the storage had a key. Raises StorageError."""
    marks = storage / MARKS
    if not marks.exists(MADE_FILE):
        marks.write(MADE_FILE, _told())


def expect_way_in(settings: ServiceSettings) -> None:
    """Raises SettingsError where nobody could come in, or other machines without a key;
    StorageError where the service's keys are
    damaged or gone.
    """
    storage = open_folder(settings.storage)
    stored, gateway_keys = look(storage), settings.gateway.keys()
    if stored.fault and not settings.no_keys:
        raise StorageError(stored.fault)
    if stored.made and not (stored.keys or gateway_keys or settings.no_keys):
        raise SettingsError(
            f"No key opens the service of {storage} any more: make one with `promptray keys add "
            f"OWNER --admin --storage {storage}`"
            ", or start it with --no-keys, which makes everybody on this machine its admin."
        )
    expect_guarded(settings.gateway.host, () if settings.no_keys else stored.keys or gateway_keys)


class Authenticator:
    """The gate of the service: its own keys, the gateway's keys, and the quotas of owners.

    Reads the file of keys again where it is
    older than `seen_within_s`.

    The gateway's own keys open the models alone. Where no key was ever made, everybody is the admin
    `local`, unless `public`: then nobody comes in. Once one was made, nobody comes in without,
    whatever becomes of the file, and even if the last was taken back; but for `no_keys`, with which
    a person says that everybody may.
    """

    def __init__(
        self,
        storage: Folder,
        gateway_keys: Keys | None = None,
        public: bool = False,
        quota: QuotaSettings | None = None,
        seen_within_s: float = SEEN_WITHIN_S,
        clock: Callable[[], float] = time.monotonic,
        no_keys: bool = False,
    ) -> None:
        self._storage = storage
        self._gateway_keys = gateway_keys or Keys()
        self._public = public
        self._no_keys = no_keys
        self._quota = quota or QuotaSettings()
        self._seen_within_s = seen_within_s
        self._clock = clock
        self._stored = StoredKeys()
        self._take(look(storage))
        self._read_at = clock()
        if self._stored.made:
            with suppress(
                StorageError
            ):  # of a folder of before there was a mark; whoever may not write may still read
                mark_made(storage)

    def __len__(self) -> int:
        return len(self._stored.keys) + len(self._gateway_keys)

    @property
    def made(self) -> bool:
        """Was there ever a key of the service's own?"""
        return self._stored.made

    @property
    def asks(self) -> bool:
        """Does it want a key?"""
        return not self._no_keys and (self._public or self.made or len(self._gateway_keys) > 0)

    async def admit(self, authorization: str | None) -> Hashable:
        """A Caller, or the number of a key of the gateway's own. Raises Refused."""
        await self._refresh()
        found = self._bearer(authorization)
        if found or not self.asks:
            return found or LOCAL
        if self._stored.fault:
            raise Refused(
                503,
                "keys_unreadable",
                "The service's keys cannot be read, and nobody comes in until they can: the reason "
                "is in "
                "its log.",
                retry_after_s=5.0,
            )
        if self._gateway_keys:
            return await self._gateway_keys.admit(authorization)
        if not self._stored.keys:
            raise _wrong_key(
                "No key opens this service now: its operator makes one with `promptray keys add`."
            )
        raise _wrong_key("The API key is missing or wrong: send it as 'Authorization: Bearer KEY'.")

    def quota(self, owner: str) -> QuotaSettings:
        """The service's, with what the owner's latest key that has a quota says in place of it."""
        own = [
            key.quota for key in self._stored.keys if key.owner == owner and key.quota is not None
        ]
        return (
            self._quota.model_copy(update=own[-1].model_dump(exclude_none=True))
            if own
            else self._quota
        )

    def _bearer(self, authorization: str | None) -> Principal | None:
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        matching = [key for key in self._stored.keys if hmac.compare_digest(given, key.digest)]
        return (
            Principal(matching[0].owner, matching[0].admin)
            if scheme.lower() == "bearer" and matching
            else None
        )

    async def _refresh(self) -> None:
        if self._clock() - self._read_at < self._seen_within_s:
            return
        try:
            self._take(await asyncio.to_thread(look, self._storage))
        except StorageError:
            raise Refused(
                503, "keys_unreadable", "The keys cannot be read now.", retry_after_s=5.0
            ) from None
        self._read_at = self._clock()

    def _take(self, found: StoredKeys) -> None:
        """What was seen once is not forgotten while this process lives, even if all marks are
        gone.
        """
        if self._stored.made and not found.made:
            found = replace(
                found,
                made=True,
                fault=f"All that {self._storage} held of keys is gone: bring it back from a copy.",
            )
        if found.fault and found.fault != self._stored.fault:
            _log.error("Nobody comes in: %s", found.fault)
        self._stored = found


@contextmanager
def _changing(storage: Folder) -> Iterator[None]:
    """For one who changes the keys at a time: what was read is still so when it is written.

    Raises StorageError.
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


def _told() -> bytes:
    return (json.dumps({"at": int(time.time())}) + "\n").encode()


def _wrong_key(reason: str) -> Refused:
    return Refused(401, "invalid_api_key", reason, headers={"WWW-Authenticate": "Bearer"})


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _write(storage: Folder, keys: tuple[StoredKey, ...]) -> None:
    content = {"keys": [key.model_dump(mode="json") for key in keys]}
    storage.write(KEYS_FILE, (json.dumps(content, indent=2) + "\n").encode())
