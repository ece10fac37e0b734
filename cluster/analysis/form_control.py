"""Put into words how much of a gain is form alone, by the control arm beside the other prompts.

The control arm is the baseline with the answer line (see cluster/trial/form_control.py). Where the
best prompt is the baseline itself, these sentences say that nothing was gained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.analysis.comparisons import comparisons, corrected_against_control, corrected_verdicts
from cluster.analysis.pairwise import ANSWER_LINE, format_p_value
from cluster.analysis.summary import Group, summarise
from cluster.text.formatting import plural, share, signed
from cluster.trial.result import TrialResult
from optimizer.statistics import Pooled, Scores, pooled_test, too_many_missing

MARK = "†"
_NOTE = (
    f"{MARK} No significant difference from the baseline with the answer line alone: the gain may "
    "be form."
)
SENTENCE_BY_STATE = {
    "not needed": "Form explains none of it: every answer of the baseline that the search saw and "
    "that was not right gave its "
    "answer in the form that is read.",
    "line in baseline": "Form explains none of it: the baseline itself says how to end an answer.",
    "no budget": "How much of a gain is form alone was not measured, as the budget was too small: "
    "raise budget.target_calls.",
    "off": "How much of a gain is form alone was not measured: form_control is off.",
}
"""State of a trial's control arm -> its sentence; a measured one has a sentence of its own."""


@dataclass(frozen=True)
class FormShare:
    """A gain over the baseline and its two parts, all three over the same items."""

    gain: Pooled
    form: Pooled
    """The part that the answer line alone brings."""
    rest: Pooled
    """The part that the best prompts have beyond it."""

    def sentence(self, whose: str, p_value: float | None, verdict: str) -> str:
        """Format the gain and its parts as one sentence.

        Args:
            whose: The prompts that the sentence is about, such as "the prompts of abo on navigate".
            p_value: Corrected p-value of the rest; None where the rest has no statement of its own.
            verdict: Corrected verdict on the rest; "" where it has none.
        """
        tested = "" if p_value is None else f", {format_p_value(p_value)}"
        rest = f"{_figures(self.rest)}{tested}"
        conclusion = {
            "better": f"the rest, {rest}, is what the search found",
            "worse": f"the prompts that were found are worse than that line alone: {rest}",
        }.get(
            verdict,
            f"the rest, {rest}, is not significant" if verdict else f"the rest is {rest}",
        )
        gained = f"the gain of {signed(self.gain.difference)} of {whose} over the baseline"
        return f"Of {gained}, {_figures(self.form)} comes with the answer line alone; {conclusion}."


def _figures(pooled: Pooled) -> str:
    return (
        f"{signed(pooled.difference)} [{share(pooled.interval.low)}, {share(pooled.interval.high)}]"
    )


def form_share(trials: Sequence[TrialResult]) -> FormShare | None:
    """Return a gain and its parts, over the items that were scored under all three prompts.

    None where no trial has a control arm, or where too many answers are missing.
    """
    strata = [
        known
        for trial in trials
        if trial.form_control_test_marks and not trial.best_is_baseline
        if (
            known := _known(
                trial.seed_prompt_test_scores, trial.form_control_test_scores, trial.test_scores
            )
        )
    ]
    if not strata:
        return None
    gain, form, rest = (
        pooled_test([(known[before], known[after]) for known in strata])
        for before, after in ((0, 2), (0, 1), (1, 2))
    )
    return FormShare(gain, form, rest)


def _known(*prompts: Scores) -> tuple[Scores, ...] | None:
    if any(map(too_many_missing, prompts)):
        return None
    rows = [row for row in zip(*prompts, strict=True) if None not in row]
    return tuple(zip(*rows, strict=True)) or None


def form_sentence(result: TrialResult) -> str:
    """Return how much of one trial's gain is form alone, by its own tests.

    "" where nothing is known.
    """
    if parts := form_share([result]):
        return parts.sentence(
            "this prompt", result.form_control_p_value, result.form_control_verdict
        )
    return SENTENCE_BY_STATE.get(result.form_control, "") if result.test_marks else ""


def form_notes(results: Sequence[TrialResult]) -> Mapping[str, tuple[str, ...]]:
    """Return sentences about form and unchanged baselines, by the name of a group's first trial."""
    against_line = {
        (one.task, one.first): one for one in comparisons(results) if one.second == ANSWER_LINE
    }
    own, verdicts = corrected_against_control(results), corrected_verdicts(results)
    found = {}
    for group in (group for summary in summarise(results) for group in summary.groups):
        lines = [*_baseline_lines(group), *_unmeasured_lines(group, verdicts)]
        parts = form_share(group.trials)
        if parts and parts.gain.difference > 0:
            comparison = None if group.settings else against_line.get((group.task, group.strategy))
            alone = own.get(group.trials[0].trial) if len(group.trials) == 1 else None
            verdict, p_value = (
                (comparison.verdict, comparison.p_value) if comparison else alone or ("", None)
            )
            lines.append(parts.sentence(_whose(group), p_value, verdict))
        found[group.trials[0].trial] = tuple(lines)
    return found


def form_lines(results: Sequence[TrialResult]) -> list[str]:
    """Return the sentences about form for the terminal.

    There is one for every group; a search has them for the point that it chose, one a task.
    """
    notes = form_notes(results)
    groups = [
        group
        for summary in summarise(results)
        for group in (
            [summary.leader] if any(one.settings for one in summary.groups) else summary.groups
        )
        if group is not None
    ]
    return [line for group in groups for line in notes[group.trials[0].trial]]


def form_alone(results: Sequence[TrialResult]) -> set[str]:
    """Return the trials that are better than the baseline, but not than the answer line.

    Their gain may be form alone.
    """
    verdicts, against_line = corrected_verdicts(results), corrected_against_control(results)
    return {
        name
        for name, verdict in verdicts.items()
        if verdict == "better" and against_line.get(name, ("better", 0.0))[0] != "better"
    }


def form_note(results: Sequence[TrialResult]) -> list[str]:
    """Return the footnote of a table that marks the trials of `form_alone`."""
    return [_NOTE] if form_alone(results) else []


def _whose(group: Group) -> str:
    return f"the prompts of {group.strategy} on {group.task}"


def _baseline_lines(group: Group) -> list[str]:
    tested = [trial for trial in group.trials if trial.test_marks]
    same = [trial for trial in tested if trial.best_is_baseline]
    if not same:
        return []
    if len(same) < len(tested):
        return [
            f"In {len(same)} of {plural(len(tested), 'trial')} of {group.strategy} on {group.task} "
            "the best prompt is the baseline itself: no candidate was better on dev."
        ]
    whose = "The best prompt" if len(same) == 1 else "The best prompt of every trial"
    return [
        f"{whose} of {group.strategy} on {group.task} is the baseline itself: no candidate was "
        "better on dev."
    ]


def _unmeasured_lines(group: Group, verdicts: Mapping[str, str]) -> list[str]:
    missed = any(
        trial.form_control == "no budget" and verdicts.get(trial.trial) == "better"
        for trial in group.trials
    )
    return (
        [
            f"How much of the gain of {_whose(group)} is form alone was not measured, as the "
            "budget was too small: raise budget.target_calls (or budget.total), or reduce "
            "sizes.test."
        ]
        if missed
        else []
    )
