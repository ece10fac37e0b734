"""The result of one trial, with JSON both ways.

A trial returns it, `OUT/trials/TRIAL.json` holds it, and the whole report is made from it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from optimizer.candidate import Candidate, Round
from optimizer.errors import DataError
from optimizer.outcome_counts import Failure
from optimizer.prompt import Prompt
from optimizer.statistics import Confusion, IntervalKind, Scores, is_binary

BASELINE_ITSELF = "the baseline itself"
"""Shown in place of a verdict where the best prompt is the one that the search started from."""
Status = Literal["finished", "budget", "pruned", "stopped", "cancelled", "failed"]
"""How a trial ended.

- "finished": it ran to its end.
- "budget": its budget was exhausted; its best prompt was still tested.
- "pruned": a search's scheduler stopped it early, to save calls. It keeps its rounds and its best
  prompt, which was not tested.
- "stopped", "cancelled": it was interrupted (Ctrl-C, SIGTERM), or cancelled with its job. Both keep
  the best prompt so far.
- "failed": it ended on an error (see `error`). It keeps the best prompt so far, too.
"""
ENDED: frozenset[Status] = frozenset(("finished", "budget", "pruned"))
"""Statuses that are final: an uncut run of the trial gives the same result."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One test item, answered under the baseline (`before`) and under the best prompt (`after`)."""

    input: str
    gold: str
    """The accepted answer that a person would write; the first where there are several."""
    before: str
    after: str
    right_before: bool | None
    """None where infrastructure gave no answer."""
    right_after: bool | None
    score_before: float | None = None
    """The scores, where one of the two is neither 0 nor 1; else None, as the marks say it all."""
    score_after: float | None = None
    feedback_before: str = ""
    """What the grader says of the answer; "" where it says nothing."""
    feedback_after: str = ""

    @property
    def change(self) -> float:
        """Return how much higher the best prompt's score is; no answer counts as 0 here."""
        after, before = self.score_after, self.score_before
        if after is None and before is None:
            after, before = float(self.right_after or 0), float(self.right_before or 0)
        return (after or 0.0) - (before or 0.0)


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial: what it was, what it found, what it cost.

    Accuracies are shares from 0 to 1; None is "not measured".
    """

    trial: str
    """Name within the experiment, usable as a file name, such as "navigate-abo-s0"."""
    task: str
    strategy: str
    """The label in the experiment file: the strategy's name, or an ablation's."""
    selection: str
    seed: int
    target: str
    optimizer: str
    status: Status
    seed_prompt: Prompt = field(default_factory=Prompt)
    best: Candidate | None = None
    """The selected candidate that stood first at the end; None where the trial ended before its
    first selection.
    """
    rounds: tuple[Round, ...] = ()
    seed_prompt_test_accuracy: float | None = None
    test_accuracy: float | None = None
    """Accuracy of `best` on the locked test split, as are `test_low` and `test_high`."""
    test_low: float | None = None
    test_high: float | None = None
    """Upper end of the 95% interval."""
    test_items: int = 0
    """Items of the test split that were scored."""
    verdict: str = ""
    """Verdict of the paired test of `best` against the baseline: "better", "worse" or "not
    distinguishable".

    "" where there was no test, where the best prompt is the baseline itself (a prompt is not
    compared with itself, see `best_is_baseline`), or where too many answers are missing (see
    `test_items`). It is about this trial alone: a report of many trials corrects for their number
    (see cluster/analysis/comparisons.py).
    """
    p_value: float | None = None
    """P-value of the same test, two-sided."""
    seed_prompt_test_marks: str = ""
    """One mark for each test item, in the split's order: "1" right, "0" not, "-" no answer.

    "" where there was no test. Scores between 0 and 1 stand in `seed_prompt_test_values`.
    """
    test_marks: str = ""
    """The same marks for `best`.

    Trials of one task and seed share their test items, so that their marks can be compared one by
    one.
    """
    dev_accuracy: float | None = None
    train_accuracy: float | None = None
    """Accuracy of `best` on the training items that the search tried it on; None where there are
    none, as for a prompt of the last round.
    """
    train_items: int = 0
    adherence: float | None = None
    """Share of the best prompt's steps that the target followed; None for a prompt without steps.
    """
    target_calls: int = 0
    optimizer_calls: int = 0
    grader_calls: int = 0
    """Calls of the model that grades; 0 where the grader calls none, as in an older result."""
    ledger_hits: int = 0
    """Calls, of all models together, that the ledger answered; they are counted in the calls too.
    """
    repeats: int = 0
    """Requests to either model whose answer the trial had already: they cost nothing, and are
    counted in no other figure.
    """
    wall_s: float = 0.0
    calls_by_purpose: Mapping[str, int] = field(default_factory=dict)
    """Calls to both models; the keys are those of `optimizer.types.Purpose`."""
    parse_failures: int = 0
    """Replies of the optimizer model that could not be parsed, even when requested again."""
    samples: tuple[Sample, ...] = ()
    scorer: str = ""
    data_hash: str = ""
    """Hash of the task's examples, as `optimizer.tasks.task.Task` has it."""
    error: str = ""
    """One sentence, for a failed trial."""
    stand_in: bool = False
    """The optimizer model was the built-in stand-in for a large model."""
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """The trial's point in the search space; empty where there was no search."""
    prefix_hit_rate: float | None = None
    """Share of the target's prompt tokens that its engine took from its prefix cache; None where it
    does not report that.
    """
    verdicts_by_purpose: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Purpose -> `optimizer.types.Verdict` -> answers of the target; together as many as
    `target_calls`.

    Each answer is counted once, under the purpose of its first request, however often the trial
    came back to it.
    """
    replies_by_attempt: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """"first" or "again" -> `optimizer.outcome_counts.ReplyKind` -> replies of the optimizer model;
    together `optimizer_calls`.
    """
    failures: tuple[Failure, ...] = ()
    """Calls without a usable answer: each distinct reason once, in its original words."""
    max_tokens: int | None = None
    """The limit of each answer of the target."""
    money: float | None = None
    """Cost of the fresh calls, in the currency of the models' prices; None where a model has no
    prices, or does not report the tokens of its answers.
    """
    unmeasured_by_model: Mapping[str, int] = field(default_factory=dict)
    """Label of a model -> fresh calls without reported tokens."""
    form_control: str = ""
    """Why the final test had a control arm, the baseline with the answer line alone, or none: one
    of `cluster.trial.form_control.FormControlState`. "" in a result of an older version.
    """
    form_control_test_marks: str = ""
    """The control arm's marks, as `test_marks`; "" where it was not measured."""
    form_control_test_accuracy: float | None = None
    form_control_verdict: str = ""
    """Verdict of the paired test of `best` against the control arm, as `verdict`: what of the gain
    is not form alone.
    """
    form_control_p_value: float | None = None
    """P-value of the same test, two-sided."""
    test_interval_kind: IntervalKind | Literal[""] = ""
    """How `test_low` and `test_high` were found; "" in a result of an older version (Wilson), or
    without a test.
    """
    seed_prompt_test_values: tuple[float | None, ...] = ()
    """The scores that belong to `seed_prompt_test_marks`, where some are neither 0 nor 1; else
    empty, as the marks say it all.
    """
    test_values: tuple[float | None, ...] = ()
    """The same for `best`."""
    form_control_test_values: tuple[float | None, ...] = ()
    """The same for the control arm."""
    seed_prompt_test_classes: Confusion | None = None
    """How the test items of each class were answered under the baseline; None where the targets are
    no classes, or there was no test.
    """
    test_classes: Confusion | None = None
    """The same for `best`."""
    refused_proposals: Mapping[str, int] = field(default_factory=dict)
    """Why a proposal of the optimizer model was not used -> number of such proposals; each counts
    once, by the fault of its last reply.
    """

    @property
    def best_is_baseline(self) -> bool:
        """Return whether no candidate was better than the baseline on dev.

        Then there is nothing to compare.
        """
        return self.best is not None and self.best.prompt == self.seed_prompt

    @property
    def shown_verdict(self) -> str:
        """Return the verdict, or that the best prompt is the baseline itself."""
        return BASELINE_ITSELF if self.best_is_baseline and self.test_marks else self.verdict

    @property
    def form_control_test_scores(self) -> Scores:
        """Return the control arm's scores, item by item; empty where it was not measured."""
        return _scores(self.form_control_test_values, self.form_control_test_marks)

    @property
    def test_macro_f1(self) -> float | None:
        """Return the best prompt's macro-F1; None where the targets are no classes."""
        return self.test_classes.macro_f1 if self.test_classes else None

    @property
    def seed_prompt_test_macro_f1(self) -> float | None:
        """Return the baseline's macro-F1; None where the targets are no classes."""
        found = self.seed_prompt_test_classes
        return found.macro_f1 if found else None

    @property
    def interval_kind(self) -> IntervalKind:
        """Return how the interval of the test accuracy was found; older versions knew Wilson's."""
        return self.test_interval_kind or "Wilson"

    @property
    def ending(self) -> str:
        """Return where the budget ended the search, and what it had measured of that round.

        "" where something else ended it.
        """
        if self.status != "budget" or not self.rounds:
            return ""
        last = self.rounds[-1]
        if not last.incomplete:
            return f"budget exhausted after round {last.number}"
        return f"budget exhausted in round {last.number}; {last.measured}"

    @property
    def gap(self) -> float | None:
        """Return dev minus test accuracy of the best prompt: the optimism from selecting on dev."""
        return (
            None
            if self.dev_accuracy is None or self.test_accuracy is None
            else self.dev_accuracy - self.test_accuracy
        )

    @property
    def test_scores(self) -> Scores:
        """Return the best prompt's scores, item by item; empty where there was no test."""
        return _scores(self.test_values, self.test_marks)

    @property
    def seed_prompt_test_scores(self) -> Scores:
        """Return the baseline's scores, item by item; empty where there was no test."""
        return _scores(self.seed_prompt_test_values, self.seed_prompt_test_marks)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers, which `from_json` reads."""
        return asdict(self) | {
            "seed_prompt": self.seed_prompt.to_json(),
            "best": None if self.best is None else self.best.to_json(),
            "rounds": [round.to_json() for round in self.rounds],
            "calls_by_purpose": dict(self.calls_by_purpose),
            "settings": dict(self.settings),
            "refused_proposals": dict(self.refused_proposals),
            "samples": [asdict(sample) for sample in self.samples],
            "failures": [asdict(failure) for failure in self.failures],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TrialResult":
        """Return the result that `to_json` has written.

        Raises:
            DataError: `data` does not have the fields of a result.
        """
        try:
            return cls(
                **{
                    **data,
                    "seed_prompt": Prompt.from_json(data["seed_prompt"]),
                    "best": None if data["best"] is None else Candidate.from_json(data["best"]),
                    "rounds": tuple(Round.from_json(round) for round in data["rounds"]),
                    "samples": tuple(Sample(**sample) for sample in data["samples"]),
                    "failures": tuple(
                        Failure(**failure) for failure in data.get("failures", ())
                    ),  # an older result has none
                    **{name: tuple(data.get(name, ())) for name in _VALUES},
                    **{name: _confusion(data.get(name)) for name in _CLASSES},
                }
            )
        except (KeyError, TypeError) as problem:
            raise DataError(
                f"This is not a trial's result: {problem}. Use a file from a results folder's "
                "trials/."
            ) from problem


_VALUES = ("seed_prompt_test_values", "test_values", "form_control_test_values")
_CLASSES = ("seed_prompt_test_classes", "test_classes")


def marks_of(scores: Scores) -> str:
    """Format scores as one character each: 1 for the full score, 0 for less, - for none."""
    return "".join("-" if score is None else str(int(score)) for score in scores)


def values_of(scores: Scores) -> tuple[float | None, ...]:
    """Return the scores where marks do not say it all; empty where all are 0.0, 1.0 or None."""
    return () if is_binary(scores) else tuple(scores)


def scores_of(marks: str) -> Scores:
    """Parse the scores that `marks_of` has written."""
    return [None if mark == "-" else float(mark) for mark in marks]


def _scores(values: Scores, marks: str) -> Scores:
    return values or scores_of(marks)


def _confusion(data: Mapping[str, Any] | None) -> Confusion | None:
    if data is None:
        return None
    counts = tuple(tuple(row) for row in data["counts"])
    return Confusion(tuple(data["classes"]), tuple(data["answers"]), counts)
