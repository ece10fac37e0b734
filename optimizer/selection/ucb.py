"""Selection `ucb`: measure next the arms whose mean may be highest.

The bound widens with the logarithm of all pulls.
"""

from dataclasses import dataclass
from math import log, sqrt

from optimizer.selection.bounds import BoundsRule


@dataclass(frozen=True, kw_only=True)
class UCB(BoundsRule):
    """Settings of UCB1 (Auer, Cesa-Bianchi & Fischer 2002), in ProTeGi's form.

    ProTeGi (arXiv 2305.03495, `evaluators.py`): mean + exploration * sqrt(ln(pulls of all arms) /
    pulls of the arm). Auer's own exploration is sqrt(2). It was made to lose little while it plays,
    not to find the best arm: it spends much on arms that it knows to be good.

    Raises:
        SettingsError: For a value out of range.
    """

    def _bound(self, mean: float, own: int, pulls: int) -> float:
        return mean + self.exploration * sqrt(log(pulls) / own)
