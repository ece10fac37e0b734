"""Schemas of jobs: what is requested, how a job stands, and what has happened to it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from cluster.config.budget import BudgetSettings
from cluster.config.component_spec import STORED
from cluster.config.experiment import SamplingSettings
from cluster.config.sizes import SizeSettings
from cluster.config.task import ColumnSettings, is_empty, is_none
from cluster.service.schemas.base import Answer
from cluster.service.schemas.examples import WorkedExample
from cluster.service.schemas.plain import MOST_KEY, MOST_PROMPT, Key, expect_bounded
from cluster.service.schemas.search import SearchRequest, SelectionRequest, StrategyRequest
from optimizer.errors import SettingsError
from serving.settings.validation import Strict

JobStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
"""The status of a job.

`succeeded`: every trial has ended in order, an exhausted budget and pruning included; `failed`: one
has failed, or the experiment could not be run. A job that is paused because an endpoint is down is
`running`, and its `paused` says why.
"""
TrialStatus = Literal[
    "waiting", "running", "finished", "budget", "pruned", "stopped", "cancelled", "failed"
]
"""The status of a trial; `budget`: its budget is exhausted."""
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
"""The kind of an event."""
ENDS: dict[EventKind, JobStatus] = {
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
}
"""The last event of a job that is over -> the job's status."""
TERMINAL: frozenset[JobStatus] = frozenset(ENDS.values())
"""The statuses of a job that is over."""


MOST_BASELINE = MOST_PROMPT
"""Maximum number of characters of a baseline in a request."""
MOST_OLDER_BASELINE = 20_000
"""Maximum number of characters of a baseline under its older name."""
MOST_KEPT = 100
"""Maximum number of parts of a baseline that a request names to be kept."""


class TaskRequest(Strict):
    """A task of a job: give either `file` or `generated`."""

    file: str | None = Field(
        None, description="Id of an uploaded file.", examples=["file-3f2a"], max_length=MOST_KEY
    )
    generated: str | None = Field(
        None, description="Name of a generated task.", examples=["navigate"], max_length=MOST_KEY
    )
    label: str = Field(
        "", description="Its name in tables; empty: that of the file or the task.", max_length=80
    )
    scorer: str | None = Field(
        None, description="The older name of `grader`, for a name alone.", max_length=MOST_KEY
    )
    grader: Annotated[str, Field(max_length=MOST_KEY)] | dict[Key, Any] | None = Field(
        None,
        description="A name, {kind: NAME, ...} with its settings, or a grader object of OpenAI's; "
        "null: what fits the examples.",
        exclude_if=lambda grader: grader is None,
    )
    seed_instruction: str | None = Field(
        None, description="The older name of `baseline`.", max_length=MOST_OLDER_BASELINE
    )
    baseline: str | None = Field(
        None,
        description="The prompt that the search starts from; null: the default, one line.",
        max_length=MOST_BASELINE,
        exclude_if=lambda text: text is None,
    )
    keep: tuple[Annotated[str, Field(max_length=MOST_BASELINE)], ...] = Field(
        (),
        description="Parts of the baseline that stay word for word in every prompt: heading lines, "
        "whose sections are kept, or literal texts.",
        max_length=MOST_KEPT,
        exclude_if=lambda names: not names,
    )
    sizes: SizeSettings | None = None
    # What earlier versions did not know is left out where it is not given: digests are made of it.
    columns: ColumnSettings | None = Field(
        None,
        description="The file's columns; null: those with the usual names.",
        exclude_if=is_none,
    )
    dev_file: str | None = Field(
        None,
        description="Id of the dev split's file, where `file` is that of the train split.",
        max_length=MOST_KEY,
        exclude_if=is_none,
    )
    test_file: str | None = Field(
        None,
        description="Id of the test split's file, where `file` is that of the train split.",
        max_length=MOST_KEY,
        exclude_if=is_none,
    )
    description: str = Field(
        "",
        description="What the task is, for the optimizer model.",
        max_length=4_000,
        exclude_if=is_empty,
    )

    @model_validator(mode="after")
    def _has_one_grader(self) -> Self:
        if self.scorer is not None and self.grader is not None:
            raise SettingsError("scorer is the older name of grader: give one of them.")
        return self

    @property
    def graded_by(self) -> str | dict[str, Any] | None:
        """Return the grader under either name; None where the examples are to decide."""
        return self.scorer if self.grader is None else self.grader


class OptimizationRequest(Strict):
    """A job to run: an experiment without paths, with models by their labels.

    What is left out has the same default as in an experiment file, but for the name.

    It is a schema of its own, and not an experiment's settings: those are written by somebody who
    may read the files, the environment and the network of the machine, and this is not (see
    cluster.service.access.admission).
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
    sizes: SizeSettings = SizeSettings(auto=True)
    sampling: SamplingSettings = SamplingSettings()
    budget: BudgetSettings = BudgetSettings()
    form_control: bool = Field(
        True,
        description="Measure how much of a gain comes from the form of the answers alone.",
    )
    search: SearchRequest | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    metadata: dict[str, str] = Field(
        {}, description="Your own data, returned as is.", max_length=16
    )

    @model_validator(mode="before")
    @classmethod
    def _is_bounded(cls, data: Any, info: ValidationInfo) -> Any:
        """Check sizes before anything is built; those of a stored request were checked before."""
        if info.context != STORED:
            expect_bounded(data)
        return data


class Usage(Answer):
    """The spending of a job or a trial so far."""

    target_calls: int = 0
    optimizer_calls: int = 0
    grader_calls: int = 0
    """Calls of a model that grades; 0 where the grader calls none."""
    ledger_hits: int = 0
    """The calls among these that the ledger answered, which are free."""
    repeats: int = 0
    """Requests whose answers the trials had already; they count as no calls."""
    calls_by_purpose: dict[str, int] = {}
    """Purpose (learn, validate, test, reflect ...) -> calls."""
    money: float | None = None
    wall_s: float = 0.0


class Best(Answer):
    """The best prompt of a job, or of one of its trials."""

    trial: str
    candidate: str
    text: str
    """The prompt, as people read it."""
    prompt: dict[str, Any]
    """The prompt, as `promptray apply` reads it."""
    dev_accuracy: float | None
    test_accuracy: float | None
    test_low: float | None
    test_high: float | None
    test_interval_kind: str = ""
    """How that interval was found: `Wilson` for scores of 0 and 1, `bootstrap` for others."""
    test_items: int
    seed_prompt_test_accuracy: float | None
    verdict: str
    """The comparison with the baseline on the test split, in words."""
    form: str = ""
    """The part of its gain that comes from the form of the answers alone, in words."""
    task: str = ""
    dev_items: int = 0
    """The dev items that `dev_accuracy` was measured on; 0 if unknown."""
    dev_low: float | None = None
    """The low end of the 95% interval of `dev_accuracy`."""
    dev_high: float | None = None
    dev_interval_kind: str = ""
    """How that interval was found: `Wilson` for scores of 0 and 1, `bootstrap` for others."""
    worked_examples: list[WorkedExample] = []


class Fault(Answer):
    """The reason why a job has failed, in one sentence.

    The code `damaged` says that its files cannot be read: the job is shown, and can be neither
    cancelled nor resumed until they were restored and the service was restarted.
    """

    code: str
    message: str


class JobAnswer(Answer):
    """What a job of any kind has."""

    id: str
    name: str
    owner: str
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    status: JobStatus
    queue_position: int | None = None
    """The position in the queue, 1 being the next to start; null if the job does not wait."""
    paused: str = ""
    """The reason why the job is paused, while an endpoint is down; else empty."""
    in_flight: int | None = 0
    """Calls of models that are under way now; null if unknown."""
    usage: Usage = Usage()
    error: Fault | None = None
    runs: int = 0
    """Number of starts of the job: once, and again after each resume or loss of its process."""
    last_event: int = 0
    """The id of its last event."""


class Optimization(JobAnswer):
    """A job that searches for better prompts."""

    object: Literal["optimization"] = "optimization"
    request: OptimizationRequest | None
    """The request; null if its file is damaged, as `error` says then."""
    trials: int = 0
    trials_done: int = 0
    """Trials that have ended, failed ones included; not those that were cancelled."""
    trials_told: str = ""
    """The number of trials that have ended, in words, such as "0 of 2 trials finished, 2
    cancelled".
    """
    best_dev_accuracy: float | None = None
    """The highest dev accuracy of all trials. With several tasks it is that of the easiest one; see
    `best_dev_accuracy_by_task`.
    """
    best_dev_accuracy_by_task: dict[str, float] = {}
    """Task label -> the highest dev accuracy; without the tasks of which nothing was measured yet.
    """


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
    """The fields by kind: trial.round: round, dev_accuracy, low, high, best, candidates,
    target_calls, optimizer_calls, ledger_hits, repeats. trial.better: round, dev_accuracy, best.
    trial.finished: status, test_accuracy, test_low, test_high, verdict. trial.failed: error.
    budget.warning: limit, share.
    """
