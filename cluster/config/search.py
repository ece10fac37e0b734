"""The `search` section of an experiment's settings, as it stands in the YAML file.

    search:
      # Key -> values: the keys are described in search_space.py, the values in domains.py.
      space:
        strategy.minibatch: [16, 32]           # of every listed strategy that has this setting
        abo.demonstrations: {int: [0, 2]}      # of one strategy
        optimizer.prior_bias: [0.0, 0.1]
        sampling.temperature: {float: [0.0, 0.7]}
      searcher: {name: optuna, settings: {seed: 0}}     # grid, random or optuna
      trials: 16                                        # of each task and seed; not for grid
      # none, asha or median
      scheduler: {name: asha, settings: {grace_rounds: 1, reduction_factor: 3}}

The trials of one task and one seed are a comparison group: they share their data, and only they are
compared with each other. `strategies` lists the strategies to choose from. Without `search` an
experiment is a fixed grid of tasks, strategies and seeds.
"""

from typing import Annotated, Any

from pydantic import Field

from cluster.config.component_spec import ComponentSpec
from cluster.search.schedulers import ASHA, SCHEDULERS, Median, Unscheduled
from cluster.search.searchers import SEARCHERS, Searcher
from serving.settings.validation import Strict, build_named


class SearcherSpec(ComponentSpec):
    """The searcher that chooses points, as in SEARCHERS."""

    registry = SEARCHERS
    name: str = "random"

    def build(self) -> Searcher:
        """Return the searcher with its settings."""
        return build_named("searcher", SEARCHERS, self.name, self.settings)


class SchedulerSpec(ComponentSpec):
    """The scheduler that stops trials early, as in SCHEDULERS."""

    registry = SCHEDULERS
    name: str = "none"

    def build(self) -> ASHA | Median | Unscheduled:
        """Return the scheduler with its settings."""
        return build_named("scheduler", SCHEDULERS, self.name, self.settings)


class SearchSettings(Strict):
    """What is searched, and how."""

    space: dict[str, Any] = {}
    """Key -> values, as in the file; an empty one searches among the listed strategies alone."""
    searcher: SearcherSpec = SearcherSpec()
    trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Trials of each comparison group; None takes the searcher's own number."""
    scheduler: SchedulerSpec = SchedulerSpec()
