"""The strategies, by name: each is a class of settings, with the paper's defaults, that can search.

To add one: a file here, a line in the table, and a test class that inherits
tests/contracts/strategy_contract.py. One that lives elsewhere is named `package.module:Name`, or is
an entry point of the group `promptray.strategies`.
"""

from optimizer.protocols import Strategy
from optimizer.registry import Registry, settings_class
from optimizer.strategies.abo import ABO
from optimizer.strategies.apo import APO
from optimizer.strategies.apo_sum import APOSum
from optimizer.strategies.hybrid import Hybrid
from optimizer.strategies.iterative_ape import IterativeAPE
from optimizer.strategies.opro import OPRO
from optimizer.strategies.prompt_agent import PromptAgent


def _fit(name: str, found: object) -> type[Strategy]:
    kind: type[Strategy] = settings_class(
        "search", ("problem", "optimizer", "evaluate", "rng"), found
    )
    return kind


_TABLE: dict[str, type[Strategy]] = {
    "iterative_ape": IterativeAPE,
    "opro": OPRO,
    "apo": APO,
    "apo_sum": APOSum,
    "prompt_agent": PromptAgent,
    "abo": ABO,
    "hybrid": Hybrid,
}
STRATEGIES = Registry("strategy", _TABLE, "promptray.strategies", _fit)
