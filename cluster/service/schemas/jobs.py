"""Jobs: what is asked for, how they stand, what has happened to them."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from cluster.config.experiment import BudgetSettings, SamplingSettings, SizeSettings
from cluster.service.schemas.base import Answer
from cluster.service.schemas.examples import WorkedExample
from cluster.service.schemas.plain import MOST_KEY, expect_bounded
from cluster.service.schemas.search import SearchRequest, SelectionRequest, StrategyRequest
from serving.settings.validation import Strict

JobStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
"""`succeeded` where every trial has ended in order, on its budget or pruned included; `failed`
where one has failed or the experiment could not be run. A job that is paused because an endpoint is
down is `running`, and its `paused` says why.
"""
TrialStatus = Literal[
    "waiting", "running", "finished", "budget", "pruned", "stopped", "cancelled", "failed"
]
EventKind = Literal[
    "job.queued",
    "job.started",
    "job.phase",
    "trial.started",
    "trial.round",
    "trial.better",
    "trial.paused",
    "trial.resumed",
    "trial.finished",
    "trial.failed",
    "budget.warning",
    "job.cancelling",
    "job.cancelled",
    "job.resumed",
    "job.failed",
    "job.succeeded",
]
ENDS: dict[EventKind, JobStatus] = {
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
}
"""The last event of a job that is over -> its status."""
TERMINAL: frozenset[JobStatus] = frozenset(ENDS.values())


KEPT = {"kept": True}
"""Context of validation for a request that the service has taken before: it was bounded then, and
is read as it stands.
"""


class TaskRequest(Strict):
    """A task of a job: `file` or `generated`, one of them."""

    file: str | None = Field(
        None, description="Id of an uploaded file.", examples=["file-3f2a"], max_length=MOST_KEY
    )
    generated: str | None = Field(
        None, description="Name of a generated task.", examples=["navigate"], max_length=MOST_KEY
    )
    label: str = Field(
        "", description="Its name in tables; empty: the file's or the task's own.", max_length=80
    )
    scorer: str | None = Field(
        None,
        description="exact, choice, number or regex; null lets the examples decide.",
        max_length=MOST_KEY,
    )
    seed_instruction: str | None = Field(
        None, description="The prompt to start from; null takes the default.", max_length=20_000
    )
    sizes: SizeSettings | None = None


class OptimizationRequest(Strict):
    """A job to run: an experiment without its places.

    All that is left out has the defaults of an experiment file.

    A language of its own, and not an experiment's settings: those are written by somebody who may
    read the files, the environment and the network of the machine, this is not. Models are labels
    wherever they stand (see cluster.service.access.admission).
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=64)] = "optimization"
    description: str = Field("", max_length=2_000)
    tasks: Annotated[tuple[TaskRequest, ...], Field(min_length=1, max_length=32)]
    target: str = Field(
        "builtin:target",
        description="Label of a model that this service offers.",
        max_length=MOST_KEY,
    )
    optimizer: str = Field(
        "builtin:optimizer",
        description="Label of a model that this service offers.",
        max_length=MOST_KEY,
    )
    strategies: Annotated[tuple[StrategyRequest, ...], Field(min_length=1, max_length=32)]
    selection: SelectionRequest = SelectionRequest()
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=100)] = (0,)
    sizes: SizeSettings = SizeSettings()
    sampling: SamplingSettings = SamplingSettings()
    budget: BudgetSettings = BudgetSettings()
    form_control: bool = Field(
        True, description="Measure how much of a gain is form alone, where form may explain one."
    )
    search: SearchRequest | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    metadata: dict[str, str] = Field({}, description="Yours; kept and given back.", max_length=16)

    @model_validator(mode="before")
    @classmethod
    def _is_bounded(cls, data: Any, info: ValidationInfo) -> Any:
        """Sizes are looked at before anything is built of them."""
        if info.context != KEPT:
            expect_bounded(data)
        return data


class Usage(Answer):
    """What a job has spent so far, by purpose of a call (learn, validate, test, reflect ...)."""

    target_calls: int = 0
    optimizer_calls: int = 0
    ledger_hits: int = 0
    """Calls among these that the ledger answered, unpaid."""
    repeats: int = 0
    """Requests whose answers the trials had already: they are no calls, and in no other figure."""
    calls_by_purpose: dict[str, int] = {}
    money: float | None = None
    wall_s: float = 0.0


class Best(Answer):
    """The best prompt of a job, or of one of its trials."""

    trial: str
    candidate: str
    text: str
    """The prompt, as people read it."""
    prompt: dict[str, Any]
    """As `promptray apply` reads it."""
    dev_accuracy: float | None
    test_accuracy: float | None
    test_low: float | None
    test_high: float | None
    test_items: int
    seed_prompt_test_accuracy: float | None
    verdict: str
    form: str = ""
    """How much of its gain is form alone, in words."""
    task: str = ""
    dev_items: int = 0
    """Dev items that `dev_accuracy` rests on; 0 where that is not known."""
    dev_low: float | None = None
    """The low end of the 95% interval of `dev_accuracy` (Wilson)."""
    dev_high: float | None = None
    worked_examples: list[WorkedExample] = []


class Fault(Answer):
    """Why a job has failed, in one sentence.

    The code `damaged` says that its files cannot be read: it is shown, and can be neither
    cancelled nor resumed until they were brought back and the service was started again.
    """

    code: str
    message: str


class Optimization(Answer):
    """A job."""

    id: str
    object: Literal["optimization"] = "optimization"
    name: str
    owner: str
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    status: JobStatus
    queue_position: int | None = None
    """1 is the next to start; None: it does not wait."""
    paused: str = ""
    """One sentence while an endpoint is down and waited for."""
    request: OptimizationRequest | None
    """None where the file that it stands in is damaged; `error` says so."""
    trials: int = 0
    trials_done: int = 0
    """Those that have ended, failed ones included; not those that were cancelled."""
    trials_told: str = ""
    """The same in words, such as "0 of 2 trials finished, 2 cancelled"."""
    in_flight: int | None = 0
    """Calls of models that are under way now; None where that is not known."""
    usage: Usage = Usage()
    best_dev_accuracy: float | None = None
    """The highest of all trials; of a job with several tasks it is of whichever task is easiest:
    `best_dev_accuracy_by_task` has
    them apart."""
    best_dev_accuracy_by_task: dict[str, float] = {}
    """By the task's label; without those of which nothing was measured yet."""
    error: Fault | None = None
    runs: int = 0
    """How often it was started: once, and again after each resume or loss of its process."""
    last_event: int = 0


class Event(Answer):
    """Something that happened to a job.

    `id` counts from 1 in each job, without gaps, and never changes its meaning: a run that is
    repeated by replay adds no second event for the same round of the same trial.
    """

    id: int
    object: Literal["optimization.event"] = "optimization.event"
    created_at: int
    kind: EventKind
    trial: str | None = None
    message: str
    """One sentence for people."""
    data: dict[str, Any] = {}
    """trial.round: round, dev_accuracy, low, high, best, candidates, target_calls, optimizer_calls,
    ledger_hits. trial.finished: status, test_accuracy, test_low, test_high, verdict.
    budget.warning: limit, share. trial.better: round, dev_accuracy, best. trial.failed: error.
    """
