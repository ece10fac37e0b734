"""The selection rules, by name.

To add one: a file here, a line in the table, and the contract tests. README.md compares them.
"""

from optimizer.protocols import SelectionRule
from optimizer.selection.full import Full
from optimizer.selection.racing import Racing
from optimizer.selection.successive_halving import SuccessiveHalving
from optimizer.selection.successive_rejects import SuccessiveRejects
from optimizer.selection.ucb import UCB
from optimizer.selection.ucb_e import UCBE

SELECTION_RULES: dict[str, type[SelectionRule]] = {
    "full": Full,
    "racing": Racing,
    "successive_halving": SuccessiveHalving,
    "successive_rejects": SuccessiveRejects,
    "ucb": UCB,
    "ucb_e": UCBE,
}

__all__ = [
    "SELECTION_RULES",
    "UCB",
    "UCBE",
    "Full",
    "Racing",
    "SuccessiveHalving",
    "SuccessiveRejects",
]
