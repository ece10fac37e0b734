"""What a job has found: trials, candidates, and two candidates side by side."""

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
    items: int = 0
    """Dev items that it was measured on; 0 where that is not known."""


class CallFailures(Answer):
    """Calls of a trial that brought nothing, for one reason."""

    model: Literal["target", "optimizer"]
    kind: Literal["refused", "infrastructure", "empty"]
    reason: str
    """As it was told the first time."""
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
    """Where the budget has ended the search, and what it had measured of that round; "" where
    another thing has ended it.
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
    test_items: int = 0
    verdict: str = ""
    p_value: float | None = None
    form: str = ""
    """How much of its gain is form alone, in words."""
    best: str | None = None
    """Id of its best candidate."""


class Candidate(Answer):
    """A prompt of a trial, with where it comes from."""

    id: str
    object: Literal["optimization.candidate"] = "optimization.candidate"
    trial: str
    parent: str | None
    operator: str
    round: int
    changed_step: int | None
    reflection: str
    """Why it was made, in the optimizer model's words."""
    dev_accuracy: float | None
    dev_items: int
    incomplete: bool = False
    """The budget ended before it was measured on all dev items."""
    adherence: float | None
    kept: bool
    gain: float | None
    """Over its parent, on the dev items that both were measured on."""
    gain_items: int = 0
    """How many these are."""
    gain_low: float | None = None
    """The low end of the gain's 95% interval (adjusted Wald for paired shares)."""
    gain_high: float | None = None


class DiffPiece(Answer):
    """Words that are in both texts, or in one of them."""

    kind: Literal["same", "added", "removed"]
    text: str


class CandidateDetail(Candidate):
    """With its prompt, and what changed from its parent's."""

    text: str
    prompt: dict[str, Any]
    steps: list[str]
    demonstrations: int
    diff: list[DiffPiece]
    failing_step: str | None
    """The parent's text of the step that was refined."""
    dev_low: float | None = None
    """The low end of the 95% interval of `dev_accuracy` (Wilson)."""
    dev_high: float | None = None
    worked_examples: list[WorkedExample] = []
    dropped_examples: int = 0
    """Of the parent's, those that it does not have."""


class StepSeen(Answer):
    """A step of a prompt in one response."""

    number: int
    step: str
    said: str
    """What the response writes for it; "" where it was skipped."""
    state: Literal["followed", "skipped", "wrong"]
    """`wrong`: the first step at which a wrong response goes astray, as far as the task can tell.
    """


class Response(Answer):
    """What a prompt got the target model to say on one item."""

    text: str | None
    """None: not asked, or no answer came."""
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
    """Two candidates on the items of one split that both were answered on: every figure here is of
    these items.
    """

    split: Literal["dev", "test"]
    items: int
    left_accuracy: float
    left_low: float
    """The low end of its 95% interval (Wilson)."""
    left_high: float
    right_accuracy: float
    right_low: float
    right_high: float
    lead: float
    """The left one's accuracy less the right one's."""
    lead_low: float | None
    """The low end of the lead's 95% interval (adjusted Wald for paired shares)."""
    lead_high: float | None
    counts: dict[str, int]
    """By winner, of all items of the split, those that one was not answered on among them as
    `unknown`.
    """
    verdict: str
    """In words, by a paired exact test; "" where there are too few items."""
    p_value: float | None


class Comparison(Answer):
    """Two candidates side by side, item by item: on the dev split, and on the test split where both
    were tested.
    """

    object: Literal["optimization.comparison"] = "optimization.comparison"
    left: CandidateDetail
    right: CandidateDetail
    diff: list[DiffPiece]
    counts: dict[str, int]
    """By winner, over both splits together; `splits` has them apart."""
    items: list[ComparedItem]
    verdict: str
    """In words, by a paired exact test on the items that both have of the test split, or of the dev
    split where they share no test;
    "" where there are too few."""
    p_value: float | None
    splits: list[SplitComparison] = []
    """What can be said of each split, the test split first."""
    untested: Literal["", "left", "right", "both"] = ""
    """Which of the two has no test of its own: the test split is not compared then."""
