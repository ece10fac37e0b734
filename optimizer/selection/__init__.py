"""The selection rules, by name.

To add one: a file here, a line in the table, and the contract tests. README.md compares them. One
that lives elsewhere is named `package.module:Name`, or is an entry point of the group
`promptray.selection_rules`.
"""

from optimizer.protocols import SelectionRule
from optimizer.registry import Registry, settings_class
from optimizer.selection.full import Full
from optimizer.selection.racing import Racing
from optimizer.selection.successive_halving import SuccessiveHalving
from optimizer.selection.successive_rejects import SuccessiveRejects
from optimizer.selection.ucb import UCB
from optimizer.selection.ucb_e import UCBE


def _fit(name: str, found: object) -> type[SelectionRule]:
    kind: type[SelectionRule] = settings_class(
        "select", ("arms", "items", "keep", "measure", "rng"), found
    )
    return kind


_TABLE: dict[str, type[SelectionRule]] = {
    "full": Full,
    "racing": Racing,
    "successive_halving": SuccessiveHalving,
    "successive_rejects": SuccessiveRejects,
    "ucb": UCB,
    "ucb_e": UCBE,
}
SELECTION_RULES = Registry("selection rule", _TABLE, "promptray.selection_rules", _fit)

__all__ = [
    "SELECTION_RULES",
    "UCB",
    "UCBE",
    "Full",
    "Racing",
    "SuccessiveHalving",
    "SuccessiveRejects",
]
