"""Keep errors in metrics and progress display from ending the work; each is logged once.

This is not for what a run depends on: errors of its ledger, decisions and results must be raised.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("promptray")
_logged: set[str] = set()
"""What has failed in this process already."""


@contextmanager
def isolated(what: str) -> Iterator[None]:
    """Ignore any error of the block; the first one of `what` in this process is logged."""
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
