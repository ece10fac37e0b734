"""Finds out who makes a request to the service, by its API keys (key_store.py) and the gateway's.

Knows no HTTP framework.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace

from cluster.service.access.key_store import StoredKeys, digest_of, inspect_keys, mark_made
from cluster.service.core.backend import Principal
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from optimizer.errors import SettingsError, StorageError
from serving.gateway.api_keys import Keys
from serving.gateway.errors import Refused
from serving.gateway.settings import expect_guarded
from serving.storage import Folder, open_folder

SEEN_WITHIN_S = 2.0
"""Seconds within which every replica sees a change of the keys."""
LOCAL = Principal("local", admin=True)
"""Everybody, on a machine that requires no key."""
_log = logging.getLogger(__name__)


def expect_way_in(settings: ServiceSettings) -> None:
    """Refuse to start a service that nobody could use, or that other machines could without a key.

    Raises:
        SettingsError: No valid key is left, or the address is public and there is no key.
        StorageError: The service's keys are damaged or gone.
    """
    storage = open_folder(settings.storage)
    stored, gateway_keys = inspect_keys(storage), settings.gateway.keys()
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
    """Finds out who makes a request, by the service's own keys and by the gateway's.

    The gateway's own keys give access to the models only. If no key was ever made, everybody is the
    admin `local`, unless `public`: then nobody gets access. Once a key was made, one is required,
    whatever becomes of the file, and even if the last one was revoked; `no_keys` overrides that on
    purpose.
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
        """Read the keys.

        Args:
            storage: The service's folder.
            gateway_keys: The gateway's own keys.
            public: Whether other machines can reach the service.
            quota: The quota of owners whose keys have none.
            seen_within_s: How old the keys in memory may be before the file is read again.
            clock: Seconds that only grow.
            no_keys: Whether everybody on this machine is an admin, even if keys were made.

        Raises:
            StorageError: The storage does not answer.
        """
        self._storage = storage
        self._gateway_keys = gateway_keys or Keys()
        self._public = public
        self._no_keys = no_keys
        self._quota = quota or QuotaSettings()
        self._seen_within_s = seen_within_s
        self._clock = clock
        self._stored = StoredKeys()
        self._update(inspect_keys(storage))
        self._read_at = clock()
        if self._stored.made:
            # An older folder has no mark yet; a service that may not write can still read.
            with suppress(StorageError):
                mark_made(storage)

    def __len__(self) -> int:
        return len(self._stored.keys) + len(self._gateway_keys)

    @property
    def made(self) -> bool:
        """Return whether the service ever had a key of its own."""
        return self._stored.made

    @property
    def requires_keys(self) -> bool:
        """Return whether a key is required."""
        return not self._no_keys and (self._public or self.made or len(self._gateway_keys) > 0)

    async def admit(self, authorization: str | None) -> Hashable:
        """Return the Principal that a request's key belongs to.

        For a key of the gateway's own, what identifies that key is returned instead.

        Raises:
            Refused: The key is missing or wrong, or the keys cannot be read.
        """
        await self._refresh()
        found = self._bearer(authorization)
        if found or not self.requires_keys:
            return found or LOCAL
        if self._stored.fault:
            raise Refused(
                503,
                "keys_unreadable",
                "The service's keys cannot be read, and all requests are refused until they can: "
                "the reason is in its log.",
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
        """Return the quota of an owner: that of the latest key that has one, over the service's."""
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
        given = digest_of(token.strip())
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
            self._update(await asyncio.to_thread(inspect_keys, self._storage))
        except StorageError:
            raise Refused(
                503, "keys_unreadable", "The keys cannot be read now.", retry_after_s=5.0
            ) from None
        self._read_at = self._clock()

    def _update(self, found: StoredKeys) -> None:
        """Replace the keys in memory.

        That a key was made is not forgotten while this process lives, even if all marks are gone.
        """
        if self._stored.made and not found.made:
            found = replace(
                found,
                made=True,
                fault=f"All that {self._storage} held of keys is gone: bring it back from a copy.",
            )
        if found.fault and found.fault != self._stored.fault:
            _log.error("All requests are refused: %s", found.fault)
        self._stored = found


def _wrong_key(reason: str) -> Refused:
    return Refused(401, "invalid_api_key", reason, headers={"WWW-Authenticate": "Bearer"})
