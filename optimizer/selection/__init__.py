"""The selection rules, by name. To add one: a file here, a line in the table, and the contract tests."""

from optimizer.selection.full import Full
from optimizer.selection.racing import Racing

SELECTION_RULES: dict[str, type[Full] | type[Racing]] = {
    "full": Full,
    "racing": Racing,
}

__all__ = ["SELECTION_RULES", "Full", "Racing"]
