"""Who may come in. Keeps digests of the keys, never a key: none can be printed, logged or pickled by mistake."""

import hmac
import os
from collections.abc import Hashable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from optimizer.errors import SettingsError
from serving.door.refusal import Refused
from serving.storage.regular import read_regular

NOBODY = -1
"""The owner of every request where no keys are asked for."""


class Gate(Protocol):
    """Says who comes. `Keys` is the door's own."""

    async def admit(self, authorization: str | None) -> Hashable:
        """Who bears the key in the value of an Authorization header: equal for the same owner. Raises Refused (401)."""
        ...


class Keys:
    """The keys of one door. Without any, everybody may come in."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in dict.fromkeys(keys))

    @classmethod
    def read(cls, variable: str | None = None, file: Path | None = None) -> "Keys":
        """The keys of an environment variable and of a file, together. Raises SettingsError where one of them holds none."""
        return cls([*([] if variable is None else [_from_environment(variable)]), *([] if file is None else _from_file(file))])

    def __len__(self) -> int:
        return len(self._digests)

    async def admit(self, authorization: str | None) -> Hashable:
        """As `owner`."""
        return self.owner(authorization)

    def owner(self, authorization: str | None) -> int:
        """Whose key the value of an Authorization header bears, by number. Raises Refused (401).

        Takes the same time for every wrong key: all are compared, by digests of one length, none sooner than another.
        """
        if not self._digests:
            return NOBODY
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise Refused(
                401, "invalid_api_key", "The API key is missing or wrong: send it as 'Authorization: Bearer KEY'.",
                headers={"WWW-Authenticate": "Bearer"})
        return matches.index(True)


def _digest(key: str) -> bytes:
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
        for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise SettingsError(f"The file of API keys {file} holds no key: write one a line.")
    return keys


def _sendable(key: str, place: str) -> str:
    """The key, if a header can carry it. The sentence names the place, not the key."""
    if key.isascii() and key.isprintable() and " " not in key:
        return key
    raise SettingsError(f"{place} holds something that is no API key: letters, digits and signs without spaces are.")
