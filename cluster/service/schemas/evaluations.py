"""Schemas of jobs that evaluate prompts: what is requested, how a job stands, what it has found."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cluster.config.component_spec import STORED
from cluster.config.experiment import SamplingSettings
from cluster.config.task import ColumnSettings
from cluster.evaluation.settings import EvaluationBudget
from cluster.service.schemas.base import Answer
from cluster.service.schemas.jobs import MOST_BASELINE, JobAnswer, Optimization
from cluster.service.schemas.plain import MOST_KEY, Key, expect_bounded
from optimizer.errors import SettingsError
from optimizer.prompt import Prompt
from serving.settings.validation import Strict

EVALUATION_ID = "eval-"
"""How the id of a job that evaluates begins."""
MOST_PROMPTS = 32
"""Maximum number of prompts of one evaluation."""


class PromptRequest(Strict):
    """A prompt to evaluate: give `text`, `prompt` or `job`."""

    label: str = Field("", description="Its name in tables; empty: one is made.", max_length=80)
    text: Annotated[str, Field(max_length=MOST_BASELINE)] | None = Field(
        None, description="The prompt's own text, which becomes the system message."
    )
    prompt: dict[Key, Any] | None = Field(
        None, description="A prompt with its worked examples, as the files of best/ hold it."
    )
    job: str | None = Field(
        None,
        description="Id of an optimization of yours: its best prompt.",
        examples=["opt-3f2a9c0b1d4e5f60"],
        max_length=MOST_KEY,
    )
    trial: str | None = Field(
        None, description="The best prompt of this trial of the job.", max_length=300
    )
    task: str | None = Field(
        None, description="The best prompt for this task of the job.", max_length=MOST_KEY
    )

    @field_validator("prompt")
    @classmethod
    def _is_a_prompt(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else Prompt.from_json(value).to_json()

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("text", "prompt", "job") if getattr(self, name) is not None]
        if len(given) != 1:
            raise SettingsError(
                "A prompt to evaluate is a text, a prompt or a job: give one of them, not "
                f"{' and '.join(given) or 'none'}."
            )
        if self.job is None and (self.trial, self.task) != (None, None):
            raise SettingsError("trial and task name a part of a job: give its id as job.")
        if self.trial is not None and self.task is not None:
            raise SettingsError("A prompt is that of a trial or of a task: give one of them.")
        return self


class EvaluationRequest(Strict):
    """An evaluation to run: prompts on the whole of an uploaded file, with models by their labels.

    It holds no path, address, module or model of its own; see OptimizationRequest.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=64)] = "evaluation"
    description: str = Field("", max_length=2_000)
    prompts: Annotated[tuple[PromptRequest, ...], Field(min_length=1, max_length=MOST_PROMPTS)]
    file: str = Field(
        description="Id of an uploaded file.", examples=["file-3f2a"], max_length=MOST_KEY
    )
    columns: ColumnSettings | None = Field(
        None, description="The file's columns; null: those with the usual names."
    )
    grader: Annotated[str, Field(max_length=MOST_KEY)] | dict[Key, Any] | None = Field(
        None,
        description="A name, {kind: NAME, ...} with its settings, or a grader object of OpenAI's; "
        "null: what fits the examples.",
    )
    target: str = Field(
        "builtin:target",
        description="Label of a model that this service offers.",
        max_length=MOST_KEY,
    )
    sampling: SamplingSettings = SamplingSettings()
    budget: EvaluationBudget = EvaluationBudget()
    min: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The mean score that every prompt must reach; null: any."
    )
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


class PromptScore(Answer):
    """A prompt with what it scored on all items."""

    prompt: str
    """Its label."""
    mean: float | None
    """Mean score of the items that were scored; null where none was."""
    low: float
    """The low end of the mean's 95% interval."""
    high: float
    items: int
    """Items that were scored."""
    missing: int
    """Items of which no answer came, or which were not asked."""
    verdicts: dict[str, int] = {}
    """Verdict of the grader -> items."""
    passed: bool | None
    """Whether the mean reaches `min`; null where none is asked for, or too much is missing."""


class PromptDifference(Answer):
    """A second prompt compared with a first one, item by item."""

    first: str
    second: str
    difference: float | None
    """Mean score of the second less that of the first, on the items that both have."""
    low: float
    high: float
    p_value: float
    corrected_p_value: float
    """After the correction for the number of comparisons (Holm)."""
    verdict: str
    """Of the second prompt, after that correction."""
    improved: int
    worsened: int
    items: int


class EvaluationFailure(Answer):
    """Calls without a usable answer, for one reason."""

    model: str
    kind: str
    reason: str
    calls: int


class EvaluationSummary(Answer):
    """What an evaluation has found, as its summary.json has it."""

    data: str
    target: str
    grader: str
    items: int
    prompts: list[PromptScore]
    comparisons: list[PromptDifference]
    least_score: float | None
    """The request's `min`."""
    passed: bool | None
    """Whether every prompt reaches it; null where none is asked for, or that is not known."""
    complete: bool
    """Whether every item was asked under every prompt."""
    ended: str
    """Why it ended before; empty where it is complete."""
    calls: int
    cached: int
    money: float | None
    failures: list[EvaluationFailure] = []


class Evaluation(JobAnswer):
    """A job that evaluates prompts."""

    object: Literal["evaluation"] = "evaluation"
    request: EvaluationRequest | None
    """The request, with the prompts of jobs in their place; null if its file is damaged, as `error`
    says then.
    """
    answers: int = 0
    """Answers so far."""
    answers_wanted: int = 0
    """Items times prompts; 0 until the data was read."""
    scores: list[PromptScore] = []
    """What each prompt scored, once all are done."""
    passed: bool | None = None
    """Whether every prompt reaches `min`; null where none is asked for, or that is not known."""


Job = Optimization | Evaluation
"""A job of any kind; its `object` says which."""
JobKind = Literal["optimization", "evaluation"]


def kind_of(id: str) -> JobKind:
    """Return the kind of a job, which its id says."""
    return "evaluation" if id.startswith(EVALUATION_ID) else "optimization"
