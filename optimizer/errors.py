"""The error tree.

Every error is one sentence that says what is wrong and how to fix it; all survive pickling.

    PromptrayError
    ├── UserError              the user can fix it: printed without a traceback, exit code 2
    │   ├── SettingsError      a settings file or option
    │   ├── DataError          a task file or its examples
    │   ├── AccessError        a key was refused, or the model is not known to the endpoint
    │   ├── StorageError       a folder or file that cannot be read or written
    │   └── JobError           a job that the cluster does not know, or does not accept
    ├── EndpointError          a model is unreachable, or answers with garbage, beyond all retries
    └── BudgetExhausted        the next calls would exceed the budget
        └── QuotaExhausted     an owner's spending limit for today; the limit resets tomorrow

One bad answer is never an exception: it is a `Failed` value (see types.py). To add an error, give
it one message argument.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.types import Outcome

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal would obey (control characters, changes of the writing direction), and
unpaired surrogates.
"""


class PromptrayError(Exception):
    """Base class of all errors of this package; it takes one sentence."""


class UserError(PromptrayError, ValueError):
    """A mistake that the user can fix."""


class SettingsError(UserError):
    """A setting is unknown, missing or impossible."""


class DataError(UserError):
    """A task cannot be read, or its examples cannot be used."""


class AccessError(UserError):
    """An endpoint refused the key, or does not know the model; never retried."""


class StorageError(UserError):
    """A file or folder cannot be read or written."""


class JobError(UserError):
    """A job cannot be submitted, or is not known to the cluster."""


class EndpointError(PromptrayError, ConnectionError):
    """A model cannot be reached, or its replies break the protocol."""


class BudgetExhausted(PromptrayError, RuntimeError):
    """The budget does not cover the requested calls."""

    answered: Sequence["Outcome"] = ()
    """Outcomes of the first requests of the batch: they arrived, and were paid for, before the
    refusal.
    """


class QuotaExhausted(BudgetExhausted):
    """The owner's spending limit for today does not cover the requested calls."""


def shortened(text: str, most: int = 200) -> str:
    """Return foreign text fit for a sentence: on one line, and cut at `most` characters."""
    # Only the beginning: splitting a megabyte of foreign text would take its time.
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[:most]}…"


def escaped(text: str) -> str:
    """Return the text with each character that a terminal would obey written as an escape."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def unknown_name(noun: str, name: str, known: Iterable[str]) -> SettingsError:
    """Return the error for a name that a table does not have; its message lists the known names."""
    return SettingsError(
        f"There is no {noun} called {name!r}; known are: {', '.join(sorted(known))}."
    )
