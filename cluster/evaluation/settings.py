"""The settings of an evaluation: prompts, data, a target model, and what it may cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from cluster.config.component_spec import IMPORTS, STORED, with_own_code
from cluster.config.endpoints import with_addresses
from cluster.config.experiment import ModelText, Recorded, SamplingSettings
from cluster.config.grader import judge_model
from cluster.config.labels import labelled
from cluster.config.task import TaskSettings
from optimizer.budget.cost import Limits
from optimizer.errors import SettingsError
from optimizer.graders.graders import GraderSpec
from optimizer.paths import whole
from optimizer.prompt import Prompt
from optimizer.tasks.imported import is_file
from serving.runtime.session_functions import explained
from serving.settings import ModelSettings, parse_model
from serving.settings.validation import Strict, read_settings, validated

NAME = "evaluation"
SUMMARY_FILE = "summary.json"
"""What an evaluation has found, in its results folder."""


class PromptSpec(Strict):
    """A prompt with its name in tables."""

    label: str = ""
    prompt: dict[str, Any]
    """As Prompt.to_json gives it."""

    @field_validator("prompt")
    @classmethod
    def _is_a_prompt(cls, value: dict[str, Any]) -> dict[str, Any]:
        return Prompt.from_json(value).to_json()

    @property
    def title(self) -> str:
        """Return the label, or what stands for it."""
        return self.label or "prompt"

    def build(self) -> Prompt:
        """Return the prompt."""
        return Prompt.from_json(self.prompt)


class EvaluationBudget(Strict):
    """What all runs of an evaluation together may spend; null means no limit.

    Only paid calls count, as cached ones are free.
    """

    target_calls: Annotated[int, Field(ge=1)] | None = None
    grader_calls: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Read and written tokens."""
    money: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """In the currency of the models' `prices`."""

    def limits(self) -> Limits:
        """Return the limits that a budget enforces."""
        return Limits(**self.model_dump())


class EvaluationSettings(Strict):
    """One evaluation. Make it with `read` or `of`."""

    model_config = ConfigDict(validate_default=True)

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = NAME
    prompts: Annotated[tuple[PromptSpec, ...], Field(min_length=1)]
    task: TaskSettings
    """The data and its grader; its splits and its baseline are not used."""
    target: ModelText
    sampling: SamplingSettings = SamplingSettings()
    budget: EvaluationBudget = EvaluationBudget()
    least_score: Annotated[float, Field(ge=0, le=1)] | None = None
    """The mean score that every prompt must reach (`--min`); null: any."""
    code: Annotated[tuple[str, ...], Field(exclude_if=lambda listed: not listed)] = ()
    """Files and folders with components of one's own; see cluster/own_code/code_files.py."""
    out: str = ""
    """Results folder; "" makes a new one under results/."""
    recorded: Recorded | None = None

    @model_validator(mode="before")
    @classmethod
    def _prepared(cls, data: Any, info: ValidationInfo) -> Any:
        return with_own_code(with_addresses(data), info)

    @field_validator("target")
    @classmethod
    def _is_a_model(cls, value: ModelText) -> ModelText:
        parse_model(value)
        return value

    @field_validator("prompts")
    @classmethod
    def _labelled(cls, value: tuple[PromptSpec, ...]) -> tuple[PromptSpec, ...]:
        return labelled(value)

    @model_validator(mode="after")
    def _has_prices_for_its_money(self) -> Self:
        if self.budget.money is not None and self.target_model.prices is None:
            raise SettingsError(
                f"A budget in money needs the prices of {self.target_model.label}; give it "
                "prices: {prompt_per_million: ..., completion_per_million: ...}, or --prices."
            )
        return self

    @property
    def target_model(self) -> ModelSettings:
        """Return the settings of the target model."""
        return parse_model(self.target)

    def judge_of(self, grader: GraderSpec) -> ModelSettings | None:
        """Return the model that a grader calls; None where it calls none.

        Raises:
            SettingsError: It names none, or one without prices within a budget in money.
        """
        if None in grader.judge_models():
            raise SettingsError(
                f"The grader {grader.name} calls a model, and names none: give it one, as in "
                f"{{kind: {grader.name}, model: openai:MODEL, ...}}."
            )
        judge = judge_model(grader, self.target_model)
        if judge and self.budget.money is not None and judge.prices is None:
            raise SettingsError(
                f"A budget in money needs the prices of {judge.label}, which grades; write its "
                "model as a mapping with prices."
            )
        return judge

    def completed(self, out: str, recorded: Recorded) -> Self:
        """Return the settings for settings.yaml, with absolute paths of data and folder."""
        task = self.task
        if is_file(task.source):
            task = task.model_copy(update={"source": str(whole(task.source))})
        return self.model_copy(update={"task": task, "out": out, "recorded": recorded})

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings of options alone.

        Raises:
            SettingsError: A setting is missing or wrong.
        """
        return validated(cls, given, {IMPORTS: None})

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Return the settings of a YAML file, to run them.

        Raises:
            SettingsError: The file cannot be read, or a setting is wrong.
        """
        with explained():
            return read_settings(cls, path, {}, {IMPORTS: None})

    @classmethod
    def view(cls, path: Path | str) -> Self:
        """Return the settings of a YAML file to look at them: nothing is imported.

        Raises:
            SettingsError: The file cannot be read, or a setting is wrong.
        """
        return read_settings(cls, path, {}, STORED)
