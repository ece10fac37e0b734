"""Format figures for people, the same in every table.

A figure that was not measured is a dash, never a zero.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

MISSING = "–"  # noqa: RUF001


def share(value: float | None) -> str:
    """Format a share with two digits: 0.9 -> "0.90"; -0.001 -> "0.00"."""
    return MISSING if value is None else f"{value:.2f}".replace("-0.00", "0.00")


def signed(value: float | None) -> str:
    """Format a difference of shares with its sign: 0.35 -> "+0.35"; -0.001 -> "0.00"."""
    return (
        MISSING
        if value is None
        else f"{value:+.2f}".replace("+0.00", "0.00").replace("-0.00", "0.00")
    )


def interval(low: float | None, high: float | None) -> str:
    """Format an interval: (0.8, 0.95) -> "0.80 to 0.95"."""
    return MISSING if low is None or high is None else f"{low:.2f} to {high:.2f}"


def interval_name(kind: str) -> str:
    """Name an interval by how it was found: "bootstrap" -> "95% bootstrap interval".

    Results of older versions do not say; their intervals are Wilson's.
    """
    return f"95% {kind or 'Wilson'} interval"


def count(value: float | None) -> str:
    """Format a number of things: 2310 -> "2,310"."""
    return MISSING if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Format a duration: 41.2 -> "41 s"; 125 -> "2:05 min"; 4000 -> "1:06 h"."""
    if seconds is None:
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def plural(number: int, noun: str) -> str:
    """Format a number with its noun: (1, "seed") -> "1 seed"; (2, "seed") -> "2 seeds"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


UNFINISHED = "not run to its end"
_NAME_BY_STATUS = {
    "pruned": "pruned",
    "failed": "failed",
    "stopped": "interrupted",
    "cancelled": "cancelled",
    UNFINISHED: UNFINISHED,
    "running": "running",
    "waiting": "waiting",
}


def format_status(status: str) -> str:
    """Format a trial's status: "stopped" -> "interrupted"."""
    return _NAME_BY_STATUS.get(status, status)


def format_verdict(verdict: str) -> str:
    """Format a stored verdict: "not distinguishable" -> "no significant difference"."""
    shown = {"not distinguishable": "no significant difference", "cannot be told": "inconclusive"}
    return shown.get(verdict, verdict)


def format_trial_counts(statuses: Iterable[str], trials: int, rest: str = "waiting") -> str:
    """Format how many trials have ended, and how.

    `(["cancelled", "finished"], 2)` -> `1 of 2 trials finished, 1 cancelled`.

    Args:
        statuses: Status of each trial that has one.
        trials: Number of all trials.
        rest: Status of the trials that have none.
    """
    counts = Counter(statuses)
    counts[rest] += max(0, trials - counts.total())
    finished = counts["finished"] + counts["budget"]
    others = [
        f"{counts[status]:,} {name}" for status, name in _NAME_BY_STATUS.items() if counts[status]
    ]
    return ", ".join([f"{finished:,} of {plural(trials, 'trial')} finished", *others])


def format_settings(settings: Mapping[str, str | int | float | bool | None]) -> str:
    """Format a point of a search, without its strategy.

    `{"strategy": "abo", "abo.beam": 4, "optimizer.prior_bias": 0.1}` -> `beam 4, prior_bias 0.1`.
    """
    return (
        ", ".join(
            f"{key.rpartition('.')[2]} {f'{value:.3g}' if isinstance(value, float) else value}"
            for key, value in settings.items()
            if key != "strategy"
        )
        or MISSING
    )


def shortened(text: str, limit: int = 4000) -> str:
    """Return the text, cut at `limit` characters with a note of how many are left out."""
    return (
        text if len(text) <= limit else f"{text[:limit]}\n[… {len(text) - limit:,} more characters]"
    )
