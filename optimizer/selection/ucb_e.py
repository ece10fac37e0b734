"""Selection `ucb_e`: as ucb, with more exploration, to find the best arm.

The bound depends on the arm's own pulls alone.
"""

from dataclasses import dataclass
from math import sqrt

from optimizer.selection.bounds import BoundsRule


@dataclass(frozen=True, kw_only=True)
class UCBE(BoundsRule):
    """Settings of UCB-E.

    Audibert, Bubeck & Munos 2010, "Best arm identification in multi-armed bandits". The bound is
    mean + sqrt(exploration / pulls of the arm). The paper's best exploration, 25/36 * (budget -
    arms) / hardness, needs the arms' gaps, which nobody knows beforehand.

    ProTeGi's bound, mean + c * sqrt(c / pulls), is the same at its c of 1.

    Raises:
        SettingsError: For a value out of range.
    """

    def _bound(self, mean: float, own: int, _: int) -> float:
        return mean + sqrt(self.exploration / own)
