"""APO: explicit reflection on errors, with a beam.

Pryzant et al., "Automatic Prompt Optimization with 'Gradient Descent' and Beam Search" (ProTeGi),
arXiv 2305.03495; as an arm of the comparison in Ma et al., arXiv 2402.02101. The editor of a group
of errors sees the reason of that group's critic. The rest of a round is in reflection.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.candidate import Problem
from optimizer.operators.asking import Asking
from optimizer.strategies.reflection import Group, Reflection


@dataclass(frozen=True, kw_only=True)
class APO(Reflection):
    """The settings are those of Reflection, with ProTeGi's defaults."""

    async def _guidance(
        self, groups: Sequence[Group], reasons: Sequence[str | None], problem: Problem, ask: Asking
    ) -> Sequence[str | None]:
        """Return for each editor its own critic's reason."""
        return reasons
