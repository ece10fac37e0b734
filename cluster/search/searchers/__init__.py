"""The searchers, by name: how the points of a space are chosen.

To add one: a file here, and a line in the table.
"""

from cluster.search.searchers.grid import Grid
from cluster.search.searchers.optuna import Optuna
from cluster.search.searchers.random import Random
from cluster.search.searchers.searcher import Searcher, Study
from optimizer.registry import Registry

_TABLE: dict[str, type[Grid] | type[Random] | type[Optuna]] = {
    "grid": Grid,
    "random": Random,
    "optuna": Optuna,
}
SEARCHERS = Registry("searcher", _TABLE)

__all__ = ["SEARCHERS", "Grid", "Optuna", "Random", "Searcher", "Study"]
