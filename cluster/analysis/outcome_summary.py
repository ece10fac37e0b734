"""What became of the models' answers, for people: the counts by kind in words, and a sentence for
each that spoils a result.

Knows counts alone: which answer is of which kind was said where it was read. Knows no page and no
terminal.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from cluster.text.formatting import count
from cluster.trial.result import TrialResult
from optimizer.types import Verdict

K = TypeVar("K", bound=Hashable)
LOST = 0.05
"""Share of the target's answers that were cut off, refused or never came from which on a person is
told: so many move an accuracy as far as a better prompt does [ours].
"""
UNPARSABLE = 0.25
"""The same for responses without an answer.

Weak models forget the form often, and to mend that is a prompt's own work [ours].
"""
UNUSABLE = 0.25
"""Share of the questions to the optimizer model that brought nothing, from which on a person is
told [ours].
"""
_ADVICE_BY_KIND = {
    "truncated": "raise the strategy's max_tokens",
    "refused": "another optimizer model may answer",
    "failed": "look after its endpoint",
    "unreadable": "a larger optimizer model keeps to the form that it is asked for",
    "empty": "another optimizer model may answer",
}


def answer_warnings(results: Sequence[TrialResult]) -> list[str]:
    """One sentence for each kind of answer that came too often, by task, and by optimizer model;
    none where all is well.
    """
    return [
        *_of_targets(results),
        *_of_optimizers(results),
        *_of_tests(results),
        *_of_usage(results),
    ]


def counts_told(counts: Iterable[Mapping[str, int]]) -> str:
    """[{"right": 9, "wrong": 1}, {"right": 3}] -> "12 right, 1 wrong": the most frequent first, ""
    where there are none.
    """
    return ", ".join(f"{count(number)} {kind}" for kind, number in _total(counts).most_common())


def _of_targets(results: Sequence[TrialResult]) -> list[str]:
    found = []
    for (task, limit), trials in _grouped(
        results, lambda trial: (trial.task, trial.max_tokens)
    ).items():
        total = _total(counts for trial in trials for counts in trial.verdicts_by_purpose.values())
        said = {"truncated": _cut_off(limit), **_SAID_BY_VERDICT}
        empty = [
            failure
            for trial in trials
            for failure in trial.failures
            if (failure.model, failure.kind) == ("target", "empty")
        ]
        if 2 * sum(failure.calls for failure in empty) >= total["unparsable"] > 0:
            reason = max(empty, key=lambda failure: failure.calls).reason
            said["unparsable"] = _EMPTY.format(reason=reason.rstrip("."))
        for verdict, rest in said.items():
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
                f"{share:.0%} of the questions to {label} brought nothing to use "
                f"({counts_told([lost])}), so fewer prompts were "
                f"tried: {advice}."
            )
    return found


def _of_tests(results: Sequence[TrialResult]) -> list[str]:
    """Verdicts that the infrastructure has prevented; a trial that failed has said why."""
    return [
        f"The final test of {trial.trial} has no verdict, as only {_came(trial)}: "
        "run the same command again, which asks for those that are missing."
        for trial in results
        if trial.test_marks
        and not trial.verdict
        and not trial.best_is_baseline
        and trial.status != "failed"
    ]


def _came(trial: TrialResult) -> str:
    """How many answers came under that one of the two prompts under which fewer did."""
    marks, prompt = min(
        ((trial.seed_prompt_test_marks, "baseline"), (trial.test_marks, "best prompt")),
        key=lambda one: -one[0].count("-"),
    )
    return f"{len(marks) - marks.count('-')} of its {len(marks)} answers under the {prompt} came"


def _of_usage(results: Sequence[TrialResult]) -> list[str]:
    """Endpoints that do not say what their answers cost."""
    return [
        f"{label} did not report the tokens of {count(calls)} of its answers, so what they have "
        "cost is not known: budgets of "
        "tokens and money count each such call at the most that it can cost."
        for label, calls in _total(trial.unmeasured_by_model for trial in results).items()
    ]


def _fates(attempts: Sequence[Mapping[str, Mapping[str, int]]]) -> Counter[str]:
    """What became of each question in the end.

    One that was asked again has the fate of the second reply.
    """
    first = _total(one.get("first", {}) for one in attempts)
    again = _total(one.get("again", {}) for one in attempts)
    settled = Counter({kind: first[kind] for kind in ("readable", "refused", "failed")})
    fates = settled + again
    never_again = first.total() - fates.total()  # the budget ended in between
    return fates + Counter({"unreadable": max(0, never_again)})


def _cut_off(limit: int | None) -> str:
    return (
        f"were cut off at max_tokens {limit}: raise sampling.max_tokens (or the target's own "
        "max_tokens, where it is set)."
        if limit
        else "were cut off: raise sampling.max_tokens."
    )


_SAID_BY_VERDICT: dict[Verdict, str] = {
    "refused": "were refusals, which count as not right: by the model, a content filter, or the "
    "limit of its context.",
    "missing": "never came, as the infrastructure failed: they count for no prompt, and the "
    "intervals are wider.",
    "unparsable": "held no answer that the scorer could read: choose another scorer, or say in "
    "seed_instruction how to end.",
}


_EMPTY = (
    "were empty ({reason}): let its endpoint give the answer in the content, or raise "
    "sampling.max_tokens for a model that "
    "thinks before it answers."
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
