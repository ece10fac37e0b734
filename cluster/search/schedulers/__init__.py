"""The schedulers, by name: which trials are stopped early.

To add one: a file here, and a line in the table.

Each is built from typed settings, by class: Ray's own `create_scheduler` ignores a misspelt setting
silently.
"""

from cluster.search.schedulers.asha import ASHA
from cluster.search.schedulers.median import Median
from cluster.search.schedulers.none import Unscheduled
from optimizer.registry import Registry

_TABLE: dict[str, type[Unscheduled] | type[ASHA] | type[Median]] = {
    "none": Unscheduled,
    "asha": ASHA,
    "median": Median,
}
SCHEDULERS = Registry("scheduler", _TABLE)

__all__ = ["ASHA", "SCHEDULERS", "Median", "Unscheduled"]
