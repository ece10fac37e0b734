"""Values of any table as JSON values, and as JSON text."""

import base64
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, time
from decimal import Decimal
from typing import Any

MOST_DEEP = 100
"""Levels of values in values that a row may have [ours]."""
_MOST_DIGITS = 300
"""Digits of a decimal that becomes a number; a longer one stays a text."""


def json_text(value: Any) -> str:
    """Return a value as JSON, its keys in order, so that equal values give equal texts."""
    return json.dumps(plain(value), ensure_ascii=False, sort_keys=True)


def is_json_object(text: str) -> bool:
    """Return whether a text is a mapping as JSON."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value of any table as a JSON value.

    Decimals become numbers, dates and times texts (ISO 8601), NaN and infinity null, bytes their
    UTF-8 text (else base64), and anything else its text.

    Raises:
        RecursionError: It is nested deeper than MOST_DEEP.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _number(value)
    # Whoever writes or reads it must not run out of stack, however much of it is in use there.
    if depth > MOST_DEEP:
        raise RecursionError
    if isinstance(value, Mapping):
        return {str(key): plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, depth + 1) for one in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return _text_of_bytes(bytes(value))
    if hasattr(value, "tolist"):  # an array or a number of NumPy
        return plain(value.tolist(), depth + 1)
    return str(value)


def _number(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON values, without what is nested too deep to be one."""
    found = {}
    for name, value in row.items():
        with suppress(RecursionError):
            found[str(name)] = plain(value)
    return found


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
