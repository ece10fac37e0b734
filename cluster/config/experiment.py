"""The settings of an experiment, read from a YAML file; every mistake is reported in one sentence.

The grid is tasks x strategies x seeds; with `search`, each task and seed gets a search among the
strategies and their settings instead (see search.py). Reading starts no model, opens no task file.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cluster.config.budget import BudgetSettings
from cluster.config.component_spec import (
    IMPORTS,
    STORED,
    SelectionSpec,
    StrategySpec,
    is_stored,
    may_import,
    with_own_code,
)
from cluster.config.endpoints import with_addresses
from cluster.config.grader import judge_model
from cluster.config.labels import labelled
from cluster.config.search import SearchSettings
from cluster.config.search_space import SELECTION, read_space
from cluster.config.task import SizeSettings, TaskSettings
from cluster.search.space import Space
from optimizer.errors import SettingsError
from optimizer.paths import whole
from optimizer.selection import SELECTION_RULES
from optimizer.tasks.sizes import SizeRule
from optimizer.types import Sampling
from serving.runtime.session_functions import explained
from serving.settings import ModelSettings, parse_model
from serving.settings.builtin import TargetSettings
from serving.settings.validation import Strict, read_settings, validated
from serving.storage import split_place

ModelText = str | dict[str, Any]
"""`builtin:NAME`, `openai:MODEL@BASE_URL`, or a mapping with the model's settings; never a key,
only the name of its variable.
"""


class SamplingSettings(Strict):
    """How the target model samples its answers."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """ProTeGi, arXiv 2305.03495: the target answers at temperature 0."""
    max_tokens: Annotated[int, Field(ge=1)] = 512

    def build(self) -> Sampling:
        """Return the sampling as the optimizer takes it."""
        return Sampling(self.temperature, self.max_tokens)

    def changed(self, changes: Mapping[str, Any]) -> "SamplingSettings":
        """Return the settings with some of them replaced.

        Raises:
            SettingsError: A change is unknown or out of range.
        """
        return validated(SamplingSettings, self.model_dump() | dict(changes))


class TrialSettings(Strict):
    """How trials run on the cluster; nothing here changes their results."""

    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """CPUs of Ray that a trial holds.

    A trial waits for models nearly all the time, so null gives it the share with which as many as
    `concurrency` fit beside the models, at most 1.
    """
    attempts: Annotated[int, Field(ge=1, le=100)] = 2
    """How often a trial is started when its process dies; a restarted trial finds its earlier
    answers in the ledger.
    """


class Recorded(Strict):
    """What a run wrote beside its settings: running them again checks the data and the versions."""

    versions: dict[str, str] = {}
    data: dict[str, dict[int, str]] = {}
    """Task label -> seed -> hash of the task's examples."""


class PairSettings(Strict):
    """Settings of a pair of models on tasks, as an experiment and a diagnosis share them."""

    if TYPE_CHECKING:
        tasks: tuple[TaskSettings, ...]
        target: ModelText
        optimizer: ModelText

    @model_validator(mode="before")
    @classmethod
    def _with_addresses(cls, data: Any) -> Any:
        return with_addresses(data)

    @field_validator("target", "optimizer", check_fields=False)
    @classmethod
    def _is_a_model(cls, value: ModelText) -> ModelText:
        parse_model(value)
        return value

    @property
    def target_model(self) -> ModelSettings:
        """Return the settings of the target model."""
        return parse_model(self.target)

    @property
    def optimizer_model(self) -> ModelSettings:
        """Return the settings of the optimizer model."""
        return parse_model(self.optimizer)

    def models_for_data(self) -> dict[str, ModelSettings]:
        """Return the models that must have been made for the data, each by its option.

        An optimizer model that was named on purpose beside a target that answers anything may be a
        stand-in: its prompts are measured all the same.
        """
        models = {"target": self.target_model}
        is_on_purpose = "optimizer" in self.model_fields_set
        if not is_on_purpose or isinstance(self.target_model, TargetSettings):
            models["optimizer"] = self.optimizer_model
        return models

    def completed(self, out: str, recorded: Recorded) -> Self:
        """Return the settings for settings.yaml, with absolute paths of files and folder."""
        tasks = tuple(
            task.with_files({name: str(whole(path)) for name, path in task.files.items()})
            for task in self.tasks
        )
        return self.model_copy(update={"tasks": tasks, "out": out, "recorded": recorded})

    @classmethod
    def read(cls, path: Path | str, overrides: Mapping[str, Any] | None = None) -> Self:
        """Return the settings of a YAML file, with top-level keys replaced by `overrides`.

        They are read to be run: the code that they name is imported.

        Raises:
            SettingsError: The file cannot be read, or a setting is wrong.
        """
        folder, _ = split_place(path)
        beside = Path(folder.place).absolute() if folder.local else None
        with explained():
            return read_settings(cls, path, overrides or {}, {IMPORTS: beside})

    @classmethod
    def view(cls, path: Path | str) -> Self:
        """Return the settings of a YAML file to look at them: nothing is imported.

        Raises:
            SettingsError: The file cannot be read, or a setting is wrong.
        """
        return read_settings(cls, path, {}, STORED)


class ExperimentSettings(PairSettings):
    """One experiment. Use `read` to make one from a file."""

    model_config = ConfigDict(validate_default=True)

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "experiment"
    description: str = ""
    tasks: Annotated[tuple[TaskSettings, ...], Field(min_length=1)]
    target: ModelText = "builtin:target"
    optimizer: ModelText = "builtin:optimizer"
    models: dict[str, ModelText] = {}
    """Label -> model, for `optimizer` in a search's space: with any, the space names its models by
    these labels alone.
    """
    strategies: Annotated[tuple[StrategySpec, ...], Field(min_length=1)]
    selection: SelectionSpec = SelectionSpec()
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    sizes: SizeSettings = SizeSettings(auto=True)
    sampling: SamplingSettings = SamplingSettings()
    budget: BudgetSettings = BudgetSettings()
    form_control: bool = True
    """Measure the baseline with the answer line alone in each final test where form may explain a
    gain.

    It takes as many more target calls as the test split has items, which the ledger pays for once a
    task and seed (see cluster/trial/form_control.py).
    """
    code: Annotated[tuple[str, ...], Field(exclude_if=lambda listed: not listed)] = ()
    """Files and folders, relative to the settings file, with components of one's own, which are
    named `module:Name`. They travel with a submitted job; see cluster/own_code/code_files.py.
    """
    search: SearchSettings | None = None
    """None runs the grid."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """Trials that run at once."""
    trials: TrialSettings = TrialSettings()
    out: str = ""
    """Results folder; "" makes a new one under results/."""
    recorded: Recorded | None = None
    _viewed: bool = PrivateAttr(False)
    """They are only looked at: a component that is not in this process has no known settings."""

    @model_validator(mode="before")
    @classmethod
    def _with_code(cls, data: Any, info: ValidationInfo) -> Any:
        """Make the code importable before the components are, whose names may be of it."""
        return with_own_code(data, info)

    @field_validator("models")
    @classmethod
    def _are_models(cls, value: dict[str, ModelText]) -> dict[str, ModelText]:
        for model in value.values():
            parse_model(model)
        return value

    @field_validator("tasks", "strategies")
    @classmethod
    def _labelled(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        """Give every entry a label of its own, since trials are named by it."""
        return labelled(value)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _can_be_searched(self, info: ValidationInfo) -> Self:
        self._viewed = is_stored(info)
        if may_import(info):
            for name in filter(SELECTION_RULES.is_elsewhere, self.selection_names()):
                SELECTION_RULES.import_name(name)
        if self.search is not None and not self._viewed:
            self.search.searcher.build().plan(self.space(), self.search.trials)
        return self

    @model_validator(mode="after")
    def _has_prices_for_its_money(self) -> Self:
        if self.budget.money is not None or self.budget.total.money is not None:
            graded = (judge_model(task.grader, self.optimizer_model) for task in self.tasks)
            judges = [model for model in graded if model is not None]
            for model in (self.target_model, self.optimizer_model, *judges):
                if model.prices is None:
                    raise SettingsError(
                        f"A budget in money needs the prices of all models, and {model.label} has "
                        "none; give it "
                        "prices: {prompt_per_million: ..., completion_per_million: ...}, or 0 for "
                        "both."
                    )
        return self

    def grid(self) -> Iterator[tuple[TaskSettings, StrategySpec, int]]:
        """Yield every trial's task, strategy and seed.

        Seeds come last in the order, so that the first results compare strategies.
        """
        for seed, task, strategy in product(self.seeds, self.tasks, self.strategies):
            yield task, strategy, seed

    def space(self) -> Space:
        """Return the space of the search (without one, the listed strategies alone).

        Raises:
            SettingsError: A key or a value of the space is not possible.
        """
        given = self.search.space if self.search else {}
        return read_space(
            given,
            self.strategies,
            self.selection,
            self.optimizer,
            self.sampling.changed,
            self.models,
            viewed=self._viewed,
        )

    def selection_names(self) -> tuple[str, ...]:
        """Return the selection rules that a trial may have; `space` refuses what is no name."""
        listed = self.search.space.get(SELECTION, ()) if self.search else ()
        names = listed.get("choice", ()) if isinstance(listed, Mapping) else listed
        names = names if isinstance(names, list | tuple) else ()
        return (self.selection.name, *(name for name in names if isinstance(name, str)))

    def sizes_of(self, task: TaskSettings) -> SizeRule:
        """Return the sizes of a task: its own, or the experiment's."""
        return (task.sizes or self.sizes).build()
