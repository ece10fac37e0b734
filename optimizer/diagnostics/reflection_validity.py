"""Measure 2, reflection validity: does a reflection name the step that first went wrong?

Ma et al., arXiv 2402.02101, section 4. A reflection is valid if the step that it names is the cause
of at least half of its errors. Its share is compared with two levels: a guess among the steps, and
what the feedbacks without examples would have reached on the same errors. Pure statistics; knows no
model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from optimizer.diagnostics.evidence import Feedback
from optimizer.diagnostics.findings import Verdict, figure, share_above
from optimizer.statistics import Estimate, estimate

NO_STEP = "no step"
"""Stands for a feedback that names no step."""


@dataclass(frozen=True, kw_only=True)
class ReflectionValidity:
    """The share of valid reflections; the fault to detect is invalid reflection."""

    verdict: Verdict
    valid: Estimate
    """Share of the feedbacks on errors that name a true cause, with Wilson's interval."""
    chance: float
    """The share that blind guessing among the steps would reach."""
    unseen: float | None
    """The share of the feedbacks without examples, each compared with every error set."""
    named: Mapping[str, int]
    """Number of feedbacks on errors that name each step."""
    true: Mapping[str, float]
    """Number of error sets that each step has caused; sets with several causes are shared among
    them.
    """
    exact: bool
    """The causes are known by the task's own procedure; else they are the localiser's judgement."""

    @property
    def sentence(self) -> str:
        """Return the verdict with its figures, for people."""
        if not self.valid.items:
            return "Cannot be told: no cause of an error is known."
        finding = {
            "detected": "Invalid reflection detected",
            "not detected": "Invalid reflection not detected",
        }.get(self.verdict, "Cannot be told")
        by = "" if self.exact else ", as the localiser judges"
        return (
            f"{finding}: {figure(self.valid)} of the reflections name the step that went wrong "
            f"first{by}; by guessing "
            f"{self.chance:.2f}"
            + (f", without seeing an error {self.unseen:.2f}." if self.unseen is not None else ".")
        )


def reflection_validity(
    feedbacks: Sequence[Feedback], labels: Sequence[str], exact: bool
) -> ReflectionValidity:
    """Return the measure over judged feedbacks; `labels` are all steps that may be a cause."""
    on_errors = [feedback for feedback in feedbacks if feedback.valid is not None]
    unseen = [feedback.named for feedback in feedbacks if feedback.given == "nothing"]
    valid = estimate([float(bool(feedback.valid)) for feedback in on_errors])
    chance = (
        fmean(len(feedback.causes) / len(labels) for feedback in on_errors)
        if on_errors and labels
        else 0.0
    )
    named = Counter(feedback.named or NO_STEP for feedback in on_errors)
    true: Counter[str] = Counter()
    for feedback in on_errors:
        for cause in feedback.causes:
            true[cause] += 1 / len(feedback.causes)  # type: ignore[assignment]  # shares, where Counter expects counts
    known = [*labels, NO_STEP]
    return ReflectionValidity(
        verdict=_verdict(valid, chance),
        valid=valid,
        chance=chance,
        exact=exact,
        unseen=fmean(name in feedback.causes for feedback in on_errors for name in unseen)
        if on_errors and unseen
        else None,
        named={label: named[label] for label in known},
        true={label: float(true[label]) for label in known},
    )


def _verdict(valid: Estimate, chance: float) -> Verdict:
    """Return the verdict on invalid reflection.

    It is detected if most reflections are invalid; not detected if they are not, and do better than
    a guess.
    """
    # Without a known cause there is nothing to compare with.
    if not valid.items:
        return "cannot be told"
    invalid = share_above(
        Estimate(1 - (valid.mean or 0.0), 1 - valid.high, 1 - valid.low, valid.items)
    )
    if invalid == "detected":
        return "detected"
    return "not detected" if valid.low > chance else "cannot be told"
