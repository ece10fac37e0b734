"""The strategies, by name: each is a class of settings, with the paper's defaults, that can search.

To add one: a file here, a line in the table, and a test class that inherits
tests/contracts/strategy_contract.py.
"""

from optimizer.protocols import Strategy
from optimizer.strategies.abo import ABO
from optimizer.strategies.apo import APO
from optimizer.strategies.apo_sum import APOSum
from optimizer.strategies.hybrid import Hybrid
from optimizer.strategies.iterative_ape import IterativeAPE
from optimizer.strategies.opro import OPRO
from optimizer.strategies.prompt_agent import PromptAgent

STRATEGIES: dict[str, type[Strategy]] = {
    "iterative_ape": IterativeAPE,
    "opro": OPRO,
    "apo": APO,
    "apo_sum": APOSum,
    "prompt_agent": PromptAgent,
    "abo": ABO,
    "hybrid": Hybrid,
}
