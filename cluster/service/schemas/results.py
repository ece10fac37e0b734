"""Schemas of what a job has found: trials, candidates, and two candidates side by side."""

from typing import Any, Literal

from cluster.service.schemas.base import Answer
from cluster.service.schemas.examples import WorkedExample
from cluster.service.schemas.jobs import TrialStatus, Usage


class CurvePoint(Answer):
    """The best prompt after a round, on the dev split."""

    round: int
    target_calls: int | None
    dev_accuracy: float | None
    low: float | None
    high: float | None
    interval_kind: str = ""
    """How the interval was found: `Wilson` for scores of 0 and 1, `bootstrap` for others; empty if
    there is none.
    """
    items: int = 0
    """The dev items that it was measured on; 0 if unknown."""


class CallFailures(Answer):
    """Calls of a trial that failed for one reason."""

    model: Literal["target", "optimizer"]
    kind: Literal["refused", "infrastructure", "empty"]
    reason: str
    """The message of the first of these failures."""
    calls: int


class Trial(Answer):
    """One search of a job."""

    id: str
    object: Literal["optimization.trial"] = "optimization.trial"
    task: str
    strategy: str
    selection: str
    seed: int
    status: TrialStatus
    error: str = ""
    ending: str = ""
    """A sentence on the end of a search whose budget was exhausted, and on its last round; else
    empty.
    """
    failures: list[CallFailures] = []
    settings: dict[str, Any] = {}
    curve: list[CurvePoint] = []
    candidates: int = 0
    usage: Usage = Usage()
    seed_prompt_test_accuracy: float | None = None
    test_accuracy: float | None = None
    test_low: float | None = None
    test_high: float | None = None
    test_interval_kind: str = ""
    """How that interval was found: `Wilson` for scores of 0 and 1, `bootstrap` for others; empty if
    unknown.
    """
    test_items: int = 0
    verdict: str = ""
    p_value: float | None = None
    seed_prompt_test_macro_f1: float | None = None
    """The mean of the classes' F1 under the baseline; null where the targets are no classes."""
    test_macro_f1: float | None = None
    """The same under its best prompt."""
    form: str = ""
    """The part of its gain that comes from the form of the answers alone, in words."""
    best: str | None = None
    """The id of its best candidate."""


class Candidate(Answer):
    """A prompt of a trial, with its lineage."""

    id: str
    object: Literal["optimization.candidate"] = "optimization.candidate"
    trial: str
    parent: str | None
    operator: str
    round: int
    changed_step: int | None
    reflection: str
    """The reason why it was made, in the optimizer model's words."""
    dev_accuracy: float | None
    dev_items: int
    incomplete: bool = False
    """True if the budget was exhausted before it was measured on all dev items."""
    adherence: float | None
    """The share of the prompt's steps that responses follow; null if unknown."""
    kept: bool
    gain: float | None
    """The gain over its parent, on the dev items that both were measured on."""
    gain_items: int = 0
    """Number of these dev items."""
    gain_low: float | None = None
    """The low end of the gain's 95% interval."""
    gain_high: float | None = None
    gain_interval_kind: str = ""
    """How the gain's interval was found: `adjusted Wald` for scores of 0 and 1, `bootstrap` for
    others; empty if there is none.
    """


class DiffPiece(Answer):
    """Words that are in both texts, or in one of them."""

    kind: Literal["same", "added", "removed"]
    text: str


class CandidateDetail(Candidate):
    """A candidate with its prompt, and what changed from its parent's."""

    text: str
    prompt: dict[str, Any]
    steps: list[str]
    demonstrations: int
    diff: list[DiffPiece]
    failing_step: str | None
    """The parent's text of the step that was rewritten."""
    dev_low: float | None = None
    """The low end of the 95% interval of `dev_accuracy`."""
    dev_high: float | None = None
    dev_interval_kind: str = ""
    """How that interval was found: `Wilson` for scores of 0 and 1, `bootstrap` for others."""
    worked_examples: list[WorkedExample] = []
    dropped_examples: int = 0
    """Number of the parent's worked examples it does not have."""


class StepSeen(Answer):
    """A step of a prompt in one response."""

    number: int
    step: str
    said: str
    """The text that the response writes for the step; empty if it was skipped."""
    state: Literal["followed", "skipped", "wrong"]
    """`wrong` is the first step at which a wrong response goes wrong, as far as the task can tell.
    """


class Response(Answer):
    """The target model's answer to one item under a prompt."""

    text: str | None
    """The answer; null if the model was not called, or did not answer."""
    score: float | None
    verdict: str
    steps: list[StepSeen] = []


class ComparedItem(Answer):
    """One item under two prompts."""

    id: str
    split: Literal["dev", "test"]
    input: str
    answers: list[str]
    winner: Literal["left", "right", "both", "neither", "unknown"]
    left: Response
    right: Response


class SplitComparison(Answer):
    """Two candidates on those items of one split that both were answered on."""

    split: Literal["dev", "test"]
    items: int
    left_accuracy: float
    left_low: float
    """The low end of the left accuracy's 95% interval."""
    left_high: float
    left_interval_kind: str = ""
    """How that interval was found: `Wilson` for scores of 0 and 1, `bootstrap` for others."""
    right_accuracy: float
    right_low: float
    right_high: float
    right_interval_kind: str = ""
    lead: float
    """The left accuracy minus the right one."""
    lead_low: float | None
    """The low end of the lead's 95% interval."""
    lead_high: float | None
    lead_interval_kind: str = ""
    """How the lead's interval was found: `adjusted Wald` for scores of 0 and 1, `bootstrap` for
    others; empty if there is none.
    """
    counts: dict[str, int]
    """Winner -> items of the whole split; `unknown`: one of the two was not answered."""
    verdict: str
    """The result of a paired test, in words; empty if there are too few items."""
    p_value: float | None
    test: str = ""
    """The paired test: `exact McNemar` for scores of 0 and 1, `permutation` for others."""


class Comparison(Answer):
    """Two candidates item by item, on the dev split, and on the test split if both were tested."""

    object: Literal["optimization.comparison"] = "optimization.comparison"
    left: CandidateDetail
    right: CandidateDetail
    diff: list[DiffPiece]
    counts: dict[str, int]
    """Winner -> items, over both splits together; `splits` has them apart."""
    items: list[ComparedItem]
    verdict: str
    """The result of a paired test in words, on the test split, or on the dev split if the two
    share no test; empty if there are too few items.
    """
    p_value: float | None
    splits: list[SplitComparison] = []
    """The comparison on each split, the test split first."""
    untested: Literal["", "left", "right", "both"] = ""
    """The one of the two that was not tested; then the test split is not compared."""
