"""The service's keys: whose they are, who is an admin, what each may use. Keeps digests, never a key. Knows no HTTP framework.

A key is 32 bytes of chance, so that its SHA-256 tells as little as a slow hash would: there is nothing to guess.

    STORAGE/keys.json    {"keys": [{"id", "owner", "admin", "digest", "created_at", "quota"}]}
"""

import asyncio
import hmac
import json
import secrets
import time
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import Annotated

from pydantic import Field, ValidationError

from cluster.service.errors import NotFound
from cluster.service.office import Caller
from cluster.service.settings import QuotaSettings
from optimizer.errors import StorageError
from serving.door.keys import Keys
from serving.door.refusal import Refused
from serving.storage import Folder
from serving.strictness import Strict

KEYS_FILE = "keys.json"
SEEN_WITHIN_S = 2.0
"""A change of the keys is seen by every replica after so long."""
LOCAL = Caller("local", admin=True)
"""Everybody, on a machine that asks for no keys."""
Owner = Annotated[str, Field(pattern=r"^[\w.@+-]+$", max_length=80)]


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


def read_keys(storage: Folder) -> tuple[StoredKey, ...]:
    """None where there is no file. Raises StorageError."""
    if not storage.exists(KEYS_FILE):
        return ()
    try:
        return _File.model_validate_json(storage.read(KEYS_FILE)).keys
    except ValidationError as problem:
        raise StorageError(f"{storage.place_of(KEYS_FILE)} is no file of keys; bring the old one back.") from problem


def add_key(storage: Folder, owner: str, admin: bool = False, quota: QuotaSettings | None = None) -> tuple[StoredKey, str]:
    """A new key, which is shown to nobody again. Two people who change the keys at the same moment may lose one change."""
    key = f"pr-{secrets.token_urlsafe(32)}"
    stored = StoredKey(
        id=f"key-{secrets.token_hex(4)}", owner=owner, admin=admin, digest=_digest(key), created_at=int(time.time()), quota=quota)
    _write(storage, (*read_keys(storage), stored))
    return stored, key


def remove_key(storage: Folder, id: str) -> StoredKey:
    """Raises NotFound."""
    keys = read_keys(storage)
    gone = next((key for key in keys if key.id == id), None)
    if gone is None:
        raise NotFound(f"There is no key {id!r}; promptray keys list shows those that there are.")
    _write(storage, tuple(key for key in keys if key.id != id))
    return gone


class KeyRing:
    """The gate of the service: its own keys, the door's keys, and the quotas of owners. Reads the file of keys again where it is
    older than `seen_within_s`.

    The door's own keys open the models alone. Where there is no key at all, everybody is the admin `local`, unless `public`: then
    nobody comes in, even if the last key was taken away while the service runs.
    """

    def __init__(
        self, storage: Folder, door_keys: Keys | None = None, public: bool = False, quota: QuotaSettings | None = None,
        seen_within_s: float = SEEN_WITHIN_S, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._door_keys = door_keys or Keys()
        self._public = public
        self._quota = quota or QuotaSettings()
        self._seen_within_s = seen_within_s
        self._clock = clock
        self._keys = read_keys(storage)
        self._read_at = clock()

    def __len__(self) -> int:
        return len(self._keys) + len(self._door_keys)

    @property
    def asks(self) -> bool:
        """Are there keys to ask for?"""
        return len(self) > 0

    async def admit(self, authorization: str | None) -> Hashable:
        """A Caller, or the number of a key of the door's own. Raises Refused."""
        await self._refresh()
        if not self.asks and not self._public:
            return LOCAL
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        matching = [key for key in self._keys if hmac.compare_digest(given, key.digest)]
        if scheme.lower() == "bearer" and matching:
            return Caller(matching[0].owner, matching[0].admin)
        if not self._door_keys:
            raise _wrong_key()
        return self._door_keys.owner(authorization)

    def quota(self, owner: str) -> QuotaSettings:
        """The service's, with what the owner's latest key that has a quota says in place of it."""
        own = [key.quota for key in self._keys if key.owner == owner and key.quota is not None]
        return self._quota.model_copy(update=own[-1].model_dump(exclude_none=True)) if own else self._quota

    async def _refresh(self) -> None:
        if self._clock() - self._read_at < self._seen_within_s:
            return
        try:
            self._keys = await asyncio.to_thread(read_keys, self._storage)
        except StorageError:
            raise Refused(503, "keys_unreadable", "The keys cannot be read now.", retry_after_s=5.0) from None
        self._read_at = self._clock()


def _wrong_key() -> Refused:
    return Refused(
        401, "invalid_api_key", "The API key is missing or wrong: send it as 'Authorization: Bearer KEY'.",
        headers={"WWW-Authenticate": "Bearer"})


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _write(storage: Folder, keys: tuple[StoredKey, ...]) -> None:
    content = {"keys": [key.model_dump(mode="json") for key in keys]}
    storage.write(KEYS_FILE, (json.dumps(content, indent=2) + "\n").encode())
