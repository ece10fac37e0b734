"""Keys of endpoints and services, from a file or a variable; no message here ever quotes one."""

import os
from pathlib import Path

from optimizer.errors import AccessError
from optimizer.paths import expanded
from serving.storage.regular_files import read_regular


def key_in_file(file: Path) -> str:
    """Return the first line of a file, without a byte order mark and surrounding white space.

    Raises:
        AccessError: If there is no readable file, no key in it, or one that cannot be sent.
    """
    try:
        lines = read_regular(expanded(file)).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise AccessError(f"The key file {file} cannot be read ({reason}).") from None
    key = lines[0].strip() if lines else ""
    if not key:
        raise AccessError(f"The key file {file} has no key in its first line.")
    return sendable(key, str(file))


def key_in_environment(variable: str) -> str:
    """Return the key in a variable, "" where it has none.

    Raises:
        AccessError: If the key cannot be sent.
    """
    return sendable(os.environ.get(variable, "").strip(), variable)


def sendable(key: str, place: str) -> str:
    """Return the key if an HTTP header can carry it.

    Raises:
        AccessError: If not; the message names its place and the character at fault.
    """
    for number, character in enumerate(key, 1):
        if not "!" <= character <= "~":
            raise AccessError(
                f"The key in {place} holds a character that no key has (U+{ord(character):04X}, "
                f"character {number}): copy the key "
                "again, without quotation marks and spaces."
            )
    return key
