"""API keys of the gateway.

It stores digests of the keys, never a key: none can be printed, logged or pickled by mistake.
"""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import Callable, Hashable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from optimizer.errors import SettingsError
from serving.gateway.errors import Refused
from serving.storage.regular_files import read_regular

SEEN_WITHIN_S = 2.0
"""Seconds within which every replica notices a change of a file of keys [ours]."""
_log = logging.getLogger(__name__)
NOBODY = -1
"""The owner of every request where no keys are required."""


class RequestAuthenticator(Protocol):
    """Authenticates requests; `Keys` is the gateway's own."""

    @property
    def requires_keys(self) -> bool:
        """Return whether a key is required; without one, everybody may come in."""
        ...

    async def admit(self, authorization: str | None) -> Hashable:
        """Return the owner of the key in an Authorization header; equal for the same owner.

        Raises:
            Refused: 401, if the key is missing or wrong.
        """
        ...


class Keys:
    """The keys of one gateway.

    Without any, everybody may come in. Those of a file are read again where they are older than
    `seen_within_s`: a key that is deleted from it is refused, and a file that is gone, empty or
    damaged by then lets nobody in.

    Raises:
        SettingsError: If a file holds no key.
    """

    def __init__(
        self,
        keys: Iterable[str] = (),
        file: Path | None = None,
        seen_within_s: float = SEEN_WITHIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given = tuple(map(_digest, keys))
        self._file = file
        self._seen_within_s = seen_within_s
        self._clock = clock
        self._number_by_digest: dict[bytes, int] = {}
        """Numbers of all keys that were ever seen: an owner stays the same while others come and
        go.
        """
        self._set_keys(() if file is None else _from_file(file))

    @classmethod
    def read(cls, variable: str | None = None, file: Path | None = None) -> "Keys":
        """Return the keys of an environment variable and of a file, together.

        Raises:
            SettingsError: If a source that is named holds no key.
        """
        return cls([] if variable is None else [_from_environment(variable)], file)

    def __len__(self) -> int:
        return len(self._digests)

    async def refresh(self) -> None:
        """Read the file again, if it is time.

        Raises:
            Refused: 503, if it holds no keys any more.
        """
        if self._file is None or self._clock() - self._read_at < self._seen_within_s:
            return
        try:
            self._set_keys(await asyncio.to_thread(_from_file, self._file))
        except SettingsError as problem:
            _log.error("Nobody comes in: %s", problem)
            raise Refused(
                503, "keys_unreadable", "The keys cannot be read now.", retry_after_s=5.0
            ) from None

    def _set_keys(self, of_file: Iterable[str]) -> None:
        self._digests = tuple(dict.fromkeys((*self._given, *map(_digest, of_file))))
        # Numbers are never reused: a metric or a limit belongs to one key for the whole run.
        for digest in self._digests:
            self._number_by_digest.setdefault(digest, len(self._number_by_digest))
        self._read_at = self._clock()

    @property
    def requires_keys(self) -> bool:
        """Return whether there are keys."""
        return bool(self._digests)

    async def admit(self, authorization: str | None) -> Hashable:
        """Return the owner of the key, by the present keys."""
        await self.refresh()
        return self.owner(authorization)

    def owner(self, authorization: str | None) -> int:
        """Return the number of the key in an Authorization header.

        It takes the same time for every wrong key: all are compared, by digests of one length, none
        sooner than another.

        Raises:
            Refused: 401, if the key is missing or wrong.
        """
        if not self._digests:
            return NOBODY
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        # No early exit: the time must not tell which key was nearly right.
        matching = [digest for digest in self._digests if hmac.compare_digest(given, digest)]
        if scheme.lower() != "bearer" or not matching:
            raise Refused(
                401,
                "invalid_api_key",
                "The API key is missing or wrong: send it as 'Authorization: Bearer KEY'.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return self._number_by_digest[matching[0]]


def _digest(key: str) -> bytes:
    # Of one length, so that comparisons take the same time for every key.
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def _from_environment(variable: str) -> str:
    if key := os.environ.get(variable, "").strip():
        return _sendable(key, f"The environment variable {variable}")
    raise SettingsError(f"The environment variable {variable} holds no API key.")


def _from_file(file: Path) -> list[str]:
    try:
        lines = read_regular(file).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"The file of API keys {file} cannot be read ({reason}).") from None
    keys = [
        _sendable(line.strip(), f"Line {number} of {file}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not keys:
        raise SettingsError(f"The file of API keys {file} holds no key: write one a line.")
    return keys


def _sendable(key: str, place: str) -> str:
    """Return the key, if a header can carry it; the message names the place, not the key."""
    if key.isascii() and key.isprintable() and " " not in key:
        return key
    raise SettingsError(
        f"{place} holds something that is no API key: letters, digits and signs without spaces are."
    )
