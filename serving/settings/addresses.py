"""Base URLs of OpenAI-compatible endpoints: read strictly, since the key goes wherever they point.

An address that cannot be read is refused, and never replaced by another one. Knows no model and no
client.
"""

import ipaddress
import os
import re
from urllib.parse import SplitResult, urlsplit

from optimizer.errors import SettingsError

OPENAI_URL = "https://api.openai.com/v1"
"""The address of a model without a base_url."""
VARIABLE = "OPENAI_BASE_URL"
"""The variable that OpenAI's own package reads; it replaces OPENAI_URL, and no address in
settings.
"""
_EXAMPLE = "such as http://127.0.0.1:8000/v1"
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")
_VISIBLE = re.compile(r"[!-~]+")


def read_base_url(text: str) -> str:
    """Return the address with a lower-case scheme and without a slash at its end.

    Raises:
        ValueError: If it cannot be read; the message is the end of a sentence and does not quote
            the address, which may hold a key in the wrong place.
    """
    # Before urlsplit, which silently drops tabs and line ends.
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise ValueError(
            "must be an http:// or https:// address of plain ASCII characters without spaces, "
            f"{_EXAMPLE}; a host's name beyond "
            "ASCII is written in its xn-- form"
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"must be an http:// or https:// address, {_EXAMPLE}") from None
    if parts.scheme not in ("http", "https") or not text[len(parts.scheme) :].startswith("://"):
        raise ValueError(f"must begin with http:// or https://, {_EXAMPLE}")
    if "@" in parts.netloc:
        raise ValueError(
            "must not hold a key or a user: put the key into the variable that api_key_env names"
        )
    # Also an empty query, which urlsplit would not show.
    if "?" in text or "#" in text:
        raise ValueError(
            "must not hold a key, a query (?...) or a fragment (#...): the key belongs into the "
            "variable that api_key_env "
            "names; of Azure the address works that needs no query, "
            "https://RESOURCE.openai.azure.com/openai/v1, with the "
            "deployment's name as the model"
        )
    _check_host(parts)
    return (parts.scheme + text[len(parts.scheme) :]).rstrip("/")


def default_base_url() -> str | None:
    """Return the address in OPENAI_BASE_URL; None where the variable is not set.

    Raises:
        SettingsError: If it is not an address.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        return read_base_url(text)
    except ValueError as problem:
        raise SettingsError(f"The environment variable {VARIABLE} {problem}.") from None


def is_loopback(url: str) -> bool:
    """Return whether an address is one of this machine, which no other machine can reach."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_host(parts: SplitResult) -> None:
    """Check that the host is a name or an IP address, and the port a valid number.

    Raises:
        ValueError: If not.
    """
    try:
        host, port = parts.hostname or "", parts.port
        if "[" in parts.netloc:
            ipaddress.IPv6Address(host)
            host = "bracketed"
    except ValueError:
        raise ValueError(f"names no host and port that can be, {_EXAMPLE}") from None
    if not _HOST.fullmatch(host) or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"names no host and port that can be, {_EXAMPLE}")
