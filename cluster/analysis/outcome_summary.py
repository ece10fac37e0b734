"""Count the models' answers by kind, and warn about each kind that spoils a result.

Works on counts alone: the kind of each answer was recorded where it was parsed.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from cluster.text.formatting import count
from cluster.trial.result import TrialResult
from optimizer.types import Verdict

K = TypeVar("K", bound=Hashable)
LOST = 0.05
"""Share of the target's answers that were cut off, refused or missing from which a warning is
shown: so many move an accuracy as far as a better prompt does [ours].
"""
UNPARSABLE = 0.25
"""Share of answers that could not be parsed from which a warning is shown.

Weak models forget the form often, and repairing that is a prompt's own work [ours].
"""
REFUSED = 0.1
"""Share of a strategy's questions without a usable reply from which their reasons are named [ours].
"""
REASONS_SHOWN = 3
"""Maximum number of reasons in a sentence [ours]."""
UNUSABLE = 0.25
"""Share of optimizer replies that were discarded from which a warning is shown [ours]."""
_ADVICE_BY_KIND = {
    "truncated": "raise the strategy's max_tokens",
    "refused": "another optimizer model may answer",
    "failed": "check its endpoint",
    "unreadable": "a larger optimizer model keeps to the requested form",
    "empty": "another optimizer model may answer",
}


def answer_warnings(results: Sequence[TrialResult]) -> list[str]:
    """Return a sentence for each kind of answer that came too often, by task and by model.

    The list is empty where all is well.
    """
    return [
        *_of_targets(results),
        *_of_optimizers(results),
        *_of_proposals(results),
        *_of_tests(results),
        *_of_usage(results),
    ]


def format_counts(counts: Iterable[Mapping[str, int]]) -> str:
    """Format counts by kind, the most frequent first; "" where there are none.

    `[{"right": 9, "wrong": 1}, {"right": 3}]` -> `12 right, 1 wrong`.
    """
    return ", ".join(f"{count(number)} {kind}" for kind, number in _total(counts).most_common())


def _of_targets(results: Sequence[TrialResult]) -> list[str]:
    found = []
    for (task, limit), trials in _grouped(
        results, lambda trial: (trial.task, trial.max_tokens)
    ).items():
        total = _total(counts for trial in trials for counts in trial.verdicts_by_purpose.values())
        sentences = {"truncated": _cut_off(limit), **_SENTENCE_BY_VERDICT}
        empty = [
            failure
            for trial in trials
            for failure in trial.failures
            if (failure.model, failure.kind) == ("target", "empty")
        ]
        if 2 * sum(failure.calls for failure in empty) >= total["unparsable"] > 0:
            reason = max(empty, key=lambda failure: failure.calls).reason
            sentences["unparsable"] = _EMPTY.format(reason=reason.rstrip("."))
        for verdict, rest in sentences.items():
            share = total[verdict] / max(1, total.total())
            if share >= (UNPARSABLE if verdict == "unparsable" else LOST):
                found.append(f"On {task}, {share:.0%} of the target's answers {rest}")
    return found


def _of_optimizers(results: Sequence[TrialResult]) -> list[str]:
    found = []
    for label, trials in _grouped(results, lambda trial: trial.optimizer).items():
        fates = _fates([trial.replies_by_attempt for trial in trials])
        lost = Counter(
            {kind: number for kind, number in fates.items() if kind != "readable" and number > 0}
        )
        share = lost.total() / max(1, fates.total())
        if share >= UNUSABLE:
            advice = _ADVICE_BY_KIND[lost.most_common(1)[0][0]]
            found.append(
                f"{share:.0%} of the requests to {label} returned nothing usable "
                f"({format_counts([lost])}), so fewer prompts were tried: {advice}."
            )
    return found


def _of_proposals(results: Sequence[TrialResult]) -> list[str]:
    """Return a sentence for each strategy that could not use many proposals, with the reasons."""
    found = []
    for strategy, trials in _grouped(results, lambda trial: trial.strategy).items():
        reasons = _total(trial.refused_proposals for trial in trials)
        fates = _fates([trial.replies_by_attempt for trial in trials])
        if reasons.total() >= REFUSED * max(1, fates.total()):
            listed = "; ".join(
                f"{reason.rstrip('.')} ({count(number)})"
                for reason, number in reasons.most_common(REASONS_SHOWN)
            )
            more = f"; {len(reasons) - REASONS_SHOWN} more" if len(reasons) > REASONS_SHOWN else ""
            found.append(
                f"{strategy} could not use {count(reasons.total())} of the "
                f"{count(fates.total())} replies it asked for: {listed}{more}."
            )
    return found


def _of_tests(results: Sequence[TrialResult]) -> list[str]:
    """Return a sentence for each final test without a verdict.

    A failed trial has an error in its place.
    """
    return [
        f"The final test of {trial.trial} has no verdict, as only {_came(trial)}: "
        "run the same command again, which requests those that are missing."
        for trial in results
        if trial.test_marks
        and not trial.verdict
        and not trial.best_is_baseline
        and trial.status != "failed"
    ]


def _came(trial: TrialResult) -> str:
    """Count the answers under whichever of the two prompts has fewer of them."""
    marks, prompt = min(
        ((trial.seed_prompt_test_marks, "baseline"), (trial.test_marks, "best prompt")),
        key=lambda one: -one[0].count("-"),
    )
    return f"{len(marks) - marks.count('-')} of its {len(marks)} answers under the {prompt} came"


def _of_usage(results: Sequence[TrialResult]) -> list[str]:
    """Return a sentence for each endpoint that does not report the tokens of its answers."""
    return [
        f"{label} did not report the tokens of {count(calls)} of its answers, so their cost is "
        "not known: budgets of tokens and money count each such call at its maximum cost."
        for label, calls in _total(trial.unmeasured_by_model for trial in results).items()
    ]


def _fates(attempts: Sequence[Mapping[str, Mapping[str, int]]]) -> Counter[str]:
    """Count how each request to the optimizer model ended.

    A request that was repeated counts by its second reply.
    """
    first = _total(one.get("first", {}) for one in attempts)
    again = _total(one.get("again", {}) for one in attempts)
    settled = Counter({kind: first[kind] for kind in ("readable", "refused", "failed")})
    fates = settled + again
    never_again = first.total() - fates.total()  # the budget ended before the second request
    return fates + Counter({"unreadable": max(0, never_again)})


def _cut_off(limit: int | None) -> str:
    return (
        f"were cut off at max_tokens {limit}: raise sampling.max_tokens (or the target's own "
        "max_tokens, where it is set)."
        if limit
        else "were cut off: raise sampling.max_tokens."
    )


_SENTENCE_BY_VERDICT: dict[Verdict, str] = {
    "refused": "were refusals, which count as not right: by the model, a content filter, or the "
    "limit of its context.",
    "missing": "never came, as the infrastructure failed: they count for no prompt, and the "
    "intervals are wider.",
    "unparsable": "could not be parsed by the scorer: choose another scorer, or say in "
    "seed_instruction how to end.",
}


_EMPTY = (
    "were empty ({reason}): let its endpoint return the answer as content, or raise "
    "sampling.max_tokens for a model that thinks before it answers."
)


def _total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _grouped(
    results: Sequence[TrialResult], key: Callable[[TrialResult], K]
) -> dict[K, list[TrialResult]]:
    groups: dict[K, list[TrialResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups
