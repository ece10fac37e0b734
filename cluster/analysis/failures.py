"""Report calls without a usable answer: each distinct reason once, with its count and model."""

from collections.abc import Iterable, Sequence

from cluster.text.formatting import plural
from cluster.trial.result import TrialResult
from optimizer.outcome_counts import NO_TEXT, Failure, likeness, summed

MOST_SHOWN = 5
"""Reasons on a terminal; the page and failures.parquet have more [ours]."""
_WORDS_BY_KIND = {
    "refused": ("call", "refused"),
    "infrastructure": ("call", "without an answer"),
    "empty": ("reply", "empty"),
}


def failure_lines(
    results: Sequence[TrialResult], most: int | None = None, shown: Sequence[str] = ()
) -> list[str]:
    """Return a sentence for each distinct reason, the most frequent first.

    Reasons that a trial's error already states are left out.

    Args:
        results: All trials of an experiment.
        most: Maximum number of reasons; a last sentence counts the others. None for all.
        shown: Sentences that are shown beside these; a reason that one of them quotes is left out
            too.
    """
    known = [
        likeness(sentence)
        for sentence in (*shown, *(result.error for result in results))
        if sentence
    ]
    label_by_role = {
        result.trial: {"target": result.target, "optimizer": result.optimizer} for result in results
    }
    by_label: dict[str, list[Failure]] = {}
    for result in results:
        for failure in result.failures:
            by_label.setdefault(
                f"{label_by_role[result.trial][failure.model]} ({failure.model})", []
            ).append(failure)
    lines = reason_lines(
        (label, failure)
        for label, failures in by_label.items()
        for failure in summed(failures)
        if not any(likeness(failure.reason.rstrip(".")) in sentence for sentence in known)
    )
    if most is None or len(lines) <= most:
        return lines
    return [
        *lines[:most],
        f"{plural(len(lines) - most, 'other reason')} for failed calls: see the report.",
    ]


def reason_lines(failures: Iterable[tuple[str, Failure]]) -> list[str]:
    """Return a sentence for each failure, the most frequent first.

    Empty replies without a known reason are reported by their share alone (outcome_summary.py), as
    small models give some.

    Args:
        failures: Pairs of a model's label and one of its failures.
    """
    known = [(label, failure) for label, failure in failures if failure.reason != NO_TEXT]
    return [
        _sentence(label, failure) for label, failure in sorted(known, key=lambda one: -one[1].calls)
    ]


def error_lines(results: Sequence[TrialResult]) -> list[str]:
    """Return the errors of failed trials: each sentence once, with the trials that it is about."""
    return _grouped((result.trial, result.error) for result in results)


def ending_lines(results: Sequence[TrialResult]) -> list[str]:
    """Return where budgets ended searches: each sentence once, with the trials that it is about."""
    return [f"{line}." for line in _grouped((result.trial, result.ending) for result in results)]


def _grouped(sentences: Iterable[tuple[str, str]]) -> list[str]:
    trials_by_sentence: dict[str, list[str]] = {}
    for trial, sentence in sentences:
        if sentence:
            trials_by_sentence.setdefault(sentence, []).append(trial)
    return [f"{_names(trials)}: {sentence}" for sentence, trials in trials_by_sentence.items()]


def _sentence(label: str, failure: Failure) -> str:
    noun, state = _WORDS_BY_KIND[failure.kind]
    counted = (
        f"{failure.calls:,} "
        f"{noun if failure.calls == 1 else {'call': 'calls', 'reply': 'replies'}[noun]}"
    )
    return (
        f"{counted} of {label} {'was' if failure.calls == 1 else 'were'} {state}: "
        f"{failure.reason.rstrip('.')}."
    )


def _names(trials: Sequence[str]) -> str:
    return trials[0] if len(trials) == 1 else f"{trials[0]} and {plural(len(trials) - 1, 'other')}"
