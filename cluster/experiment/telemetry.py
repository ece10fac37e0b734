"""Keeps what only shows or counts from ending the work: metrics, the display of progress.

A fault there is told once.

Not for what a run lives by: its ledger, its decisions and its results are to fail aloud.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("promptray")
_logged: set[str] = set()
"""What has failed in this process already."""


@contextmanager
def isolated(what: str) -> Iterator[None]:
    """Pass over any fault of the block; the first one of `what` in this process is a warning."""
    try:
        yield
    except Exception as problem:  # noqa: BLE001
        # Whatever Ray, a terminal or a table raises, the work goes on.
        if what not in _logged:
            _logged.add(what)
            _log.warning(
                "%s failed (%s: %s); the run continues without it.",
                what,
                type(problem).__name__,
                problem,
            )
