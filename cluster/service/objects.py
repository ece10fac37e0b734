"""What goes over the wire: the service's requests and answers, shaped like OpenAI's files and fine-tuning jobs.

Requests are strict, answers are frozen. Times are Unix seconds, accuracies are shares from 0 to 1, None is "not measured". Ids are
`file-…` and `opt-…`; a trial's id is its name in the experiment, a candidate's that of its prompt. Knows no HTTP and no Ray.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from cluster.choices import SelectionChoice, StrategyChoice
from cluster.search.settings import SearchSettings
from cluster.settings import BudgetSettings, SamplingSettings, SizeSettings
from serving.strictness import Strict

T = TypeVar("T")
JobStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
"""`succeeded` where every trial has ended in order, on its budget or pruned included; `failed` where one has failed or the
experiment could not be run. A job that is paused because an endpoint is down is `running`, and its `paused` says why."""
TrialStatus = Literal["waiting", "running", "finished", "budget", "pruned", "stopped", "failed"]
EventKind = Literal[
    "job.queued", "job.started", "job.phase", "trial.started", "trial.round", "trial.better", "trial.paused", "trial.resumed",
    "trial.finished", "trial.failed", "budget.warning", "job.cancelling", "job.cancelled", "job.resumed", "job.failed",
    "job.succeeded"]
TERMINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})


class Answer(BaseModel):
    """What the service says."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Answer, Generic[T]):
    """A part of a list. Ask for what follows with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class Row(Answer):
    """An example of a file, as the tasks' reader understands it."""

    id: str
    input: str
    answers: list[str]
    choices: list[str] = []


class StoredFile(Answer):
    """An uploaded data set, checked."""

    id: str
    object: Literal["file"] = "file"
    filename: str
    bytes: int
    created_at: int
    purpose: Literal["optimize"] = "optimize"
    owner: str
    rows: int
    scorer: str
    """That the examples call for."""
    data_hash: str
    """SHA-256 of the bytes."""
    preview: list[Row]
    """The first rows."""


class FileDeleted(Answer):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class TaskRequest(Strict):
    """A task of a job: `file` or `generated`, one of them."""

    file: str | None = Field(None, description="Id of an uploaded file.", examples=["file-3f2a"])
    generated: str | None = Field(None, description="Name of a generated task.", examples=["navigate"])
    label: str = Field("", description="Its name in tables; empty: the file's or the task's own.", max_length=80)
    scorer: str | None = Field(None, description="exact, choice, number or regex; null lets the examples decide.")
    seed_instruction: str | None = Field(None, description="The prompt to start from; null takes the default.", max_length=20_000)
    sizes: SizeSettings | None = None


class OptimizationRequest(Strict):
    """A job to run: an experiment without its places. All that is left out has the defaults of an experiment file."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=64)] = "optimization"
    description: str = Field("", max_length=2_000)
    tasks: Annotated[tuple[TaskRequest, ...], Field(min_length=1, max_length=32)]
    target: str = Field("builtin:target", description="Label of a model that this service offers.")
    optimizer: str = Field("builtin:optimizer", description="Label of a model that this service offers.")
    strategies: Annotated[tuple[StrategyChoice, ...], Field(min_length=1, max_length=32)]
    selection: SelectionChoice = SelectionChoice()
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=100)] = (0,)
    sizes: SizeSettings = SizeSettings()
    sampling: SamplingSettings = SamplingSettings()
    budget: BudgetSettings = BudgetSettings()
    search: SearchSettings | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    metadata: dict[str, str] = Field({}, description="Yours; kept and given back.", max_length=16)


class Usage(Answer):
    """What a job has spent so far, by purpose of a call (learn, validate, test, reflect ...)."""

    target_calls: int = 0
    optimizer_calls: int = 0
    ledger_hits: int = 0
    """Calls among these that the ledger answered, unpaid."""
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


class Fault(Answer):
    """Why a job has failed, in one sentence."""

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
    request: OptimizationRequest
    trials: int = 0
    trials_done: int = 0
    in_flight: int = 0
    """Calls of models that are under way now."""
    usage: Usage = Usage()
    best_dev_accuracy: float | None = None
    error: Fault | None = None
    runs: int = 0
    """How often it was started: once, and again after each resume or loss of its process."""
    last_event: int = 0


class Event(Answer):
    """Something that happened to a job. `id` counts from 1 in each job, without gaps, and never changes its meaning: a run that is
    repeated by replay adds no second event for the same round of the same trial."""

    id: int
    object: Literal["optimization.event"] = "optimization.event"
    created_at: int
    kind: EventKind
    trial: str | None = None
    message: str
    """One sentence for people."""
    data: dict[str, Any] = {}
    """trial.round: round, dev_accuracy, low, high, best, candidates, target_calls, optimizer_calls, ledger_hits. trial.finished:
    status, test_accuracy, test_low, test_high, verdict. budget.warning: limit, share. trial.better: round, dev_accuracy, best.
    trial.failed: error."""


class CurvePoint(Answer):
    """The best prompt after a round, on the dev split."""

    round: int
    target_calls: int | None
    dev_accuracy: float | None
    low: float | None
    high: float | None


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
    adherence: float | None
    kept: bool
    gain: float | None
    """Over its parent, on the dev split."""


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


class StepSeen(Answer):
    """A step of a prompt in one response."""

    number: int
    step: str
    said: str
    """What the response writes for it; "" where it was skipped."""
    state: Literal["followed", "skipped", "wrong"]
    """`wrong`: the first step at which a wrong response goes astray, as far as the task can tell."""


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


class Comparison(Answer):
    """Two candidates side by side, item by item: on the dev split, and on the test split where both were tested."""

    object: Literal["optimization.comparison"] = "optimization.comparison"
    left: CandidateDetail
    right: CandidateDetail
    diff: list[DiffPiece]
    counts: dict[str, int]
    """By winner."""
    items: list[ComparedItem]
    verdict: str
    """In words, by a paired exact test on the items that both have; "" where there are too few."""
    p_value: float | None


class TaskOutlook(Answer):
    """The headroom and noise gate of one task."""

    task: str
    items: dict[str, int]
    """By split."""
    seed_accuracy: float | None
    noise: float | None
    ceiling: float | None
    can_pay: bool | None
    """None: not looked at."""
    sentence: str


class Estimate(Answer):
    """What a job may cost at most, and whether it can pay."""

    object: Literal["optimization.estimate"] = "optimization.estimate"
    trials: int
    target_calls: int | None
    optimizer_calls: int | None
    tokens: float | None
    money: float | None
    wall_s: float | None
    measured: bool
    """Were tokens and time measured by a probe? Else they are assumed."""
    sentence: str
    tasks: list[TaskOutlook]
    can_pay: bool | None


class OfferedModel(Answer):
    label: str
    stand_in: bool
    """A stand-in for a large model, such as the built-in optimizer."""
    priced: bool


class Catalogue(Answer):
    """What a job may name."""

    object: Literal["catalogue"] = "catalogue"
    targets: list[OfferedModel]
    optimizers: list[OfferedModel]
    strategies: dict[str, str]
    """Name -> one line on it."""
    selection_rules: dict[str, str]
    generated_tasks: dict[str, str]
    scorers: dict[str, str]
    defaults: dict[str, Any]
    """Of an OptimizationRequest."""


class Quota(Answer):
    """What a key may use, and has used today (UTC). None: no limit."""

    jobs_at_once: int | None
    jobs_now: int
    calls_a_day: int | None
    calls_today: int
    money_a_day: float | None
    money_today: float


class Me(Answer):
    """Who the key says you are."""

    object: Literal["me"] = "me"
    owner: str
    admin: bool
    quota: Quota


class AuditEntry(Answer):
    """Who did what."""

    id: str
    object: Literal["audit"] = "audit"
    created_at: int
    owner: str
    action: str
    subject: str
    outcome: str


class ErrorBody(Answer):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(Answer):
    """Every error, in OpenAI's form."""

    error: ErrorBody
