"""The shelf of search methods: each name stands for a class of settings, with the paper's defaults, that can search.

To add one: a file here, a line in the table, and a test class that inherits tests/contracts/strategy_contract.py.
"""

from optimizer.strategies.abo import ABO
from optimizer.strategies.apo import APO
from optimizer.strategies.iterative_ape import IterativeAPE

STRATEGIES: dict[str, type[IterativeAPE] | type[APO] | type[ABO]] = {"iterative_ape": IterativeAPE, "apo": APO, "abo": ABO}
