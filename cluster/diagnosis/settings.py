"""The settings of a diagnosis, from a YAML file or from options alone.

Every mistake is reported in one sentence. Reading them starts no model and opens no task file.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from cluster.config.budget import CallSettings
from cluster.config.component_spec import IMPORTS, with_own_code
from cluster.config.experiment import ModelText, PairSettings, Recorded, SamplingSettings
from cluster.config.labels import labelled
from cluster.config.task import TaskSettings
from optimizer.diagnostics import Depth
from optimizer.diagnostics.ablations import SHORT
from optimizer.errors import SettingsError
from optimizer.strategies.abo import ABO
from optimizer.tasks.task import Sizes
from serving.settings.validation import Strict, build_named, validated

_DEPTH = Depth()


class DiagnosisSizes(Strict):
    """How many examples each part gets; all together they fit into a BIG-Bench Hard file.

    The defaults are [ours].
    """

    train: Annotated[int, Field(ge=1)] = 120
    """For the baseline's errors, and for searches to learn from."""
    dev: Annotated[int, Field(ge=1)] = 50
    """For trying refinements, and for searches to select by."""
    held_out: Annotated[int, Field(ge=1)] = 50
    """Used by no search."""

    def build(self) -> Sizes:
        """Return the sizes as the optimizer takes them."""
        return Sizes(self.train, self.dev, self.held_out)


class ReflectionSettings(Strict):
    """How the optimizer model reflects; see optimizer.diagnostics.Depth."""

    error_sets: Annotated[int, Field(ge=1)] = _DEPTH.error_sets
    errors_per_set: Annotated[int, Field(ge=1)] = _DEPTH.errors_per_set
    temperature: Annotated[float, Field(ge=0, le=2)] = _DEPTH.temperature
    max_tokens: Annotated[int, Field(ge=1)] = _DEPTH.max_tokens


class AblationSettings(Strict):
    """The short searches of ABO."""

    seeds: Annotated[int, Field(ge=1, le=20)] = _DEPTH.ablation_seeds
    """Searches of each variant; the first has the diagnosis' own seed."""
    settings: dict[str, Any] = {}
    """Settings of ABO, over those of the short search (optimizer.diagnostics.ablations.SHORT)."""

    def search(self) -> ABO:
        """Return the short search.

        Raises:
            SettingsError: The settings are not ABO's.
        """
        short = {name: getattr(SHORT, name) for name in SHORT.__dataclass_fields__}
        return build_named("strategy", {"abo": ABO}, "abo", short | self.settings)


class DiagnosisSettings(PairSettings):
    """One diagnosis: a pair of models on one task or several. Make it with `read` or `of`."""

    model_config = ConfigDict(validate_default=True)

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "diagnosis"
    tasks: Annotated[tuple[TaskSettings, ...], Field(min_length=1)]
    target: ModelText = "builtin:target"
    optimizer: ModelText = "builtin:optimizer"
    seed: int = 0
    sizes: DiagnosisSizes = DiagnosisSizes()
    sampling: SamplingSettings = SamplingSettings()
    """Sampling of the target."""
    budget: CallSettings = CallSettings()
    """Budget of one task."""
    reflection: ReflectionSettings = ReflectionSettings()
    ablations: AblationSettings = AblationSettings()
    code: Annotated[tuple[str, ...], Field(exclude_if=lambda listed: not listed)] = ()
    """Files and folders, relative to the settings file, with tasks and scorers of one's own, which
    are named `module:Name`; see cluster/own_code/code_files.py.
    """
    out: str = ""
    """Results folder; "" makes a new one under results/."""
    recorded: Recorded | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_code(cls, data: Any, info: ValidationInfo) -> Any:
        return with_own_code(data, info)

    @field_validator("tasks")
    @classmethod
    def _labelled(cls, value: tuple[TaskSettings, ...]) -> tuple[TaskSettings, ...]:
        if any(task.sizes for task in value):
            raise SettingsError(
                "A task of a diagnosis has no sizes of its own; give sizes to the diagnosis: "
                "train, dev, held_out."
            )
        return labelled(value)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        self.depth()
        return self

    def depth(self) -> Depth:
        """Return how deeply each measure looks.

        Raises:
            SettingsError: The settings cannot be measured with.
        """
        return Depth(
            **self.reflection.model_dump(),
            ablation_seeds=self.ablations.seeds,
            search=self.ablations.search(),
        )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings of options alone.

        Raises:
            SettingsError: No task is named, or a setting is wrong.
        """
        if "tasks" not in given:
            raise SettingsError(
                "There is nothing to diagnose: name a task with --task, or a settings file."
            )
        return validated(cls, given, {IMPORTS: None})
