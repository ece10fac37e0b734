"""Measure 1, reflection bias: does feedback come from the errors, or from prior beliefs?

Ma et al., "Are Large Language Models Good Prompt Optimizers?", arXiv 2402.02101, section 4:
feedbacks repeat themselves whatever the errors are. That two error sets get like feedback is no
proof: they may have the same cause. So feedbacks on errors are compared with feedbacks that were
given without an example. Pure statistics on texts; knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from optimizer.diagnostics.evidence import Feedback, Given
from optimizer.diagnostics.findings import RESAMPLES, Verdict, chance, ends, figure, share_above
from optimizer.diagnostics.similarity import Matrix, similarities
from optimizer.statistics import Estimate, wilson

LEAST_FEEDBACKS = 6
"""Minimum number of feedbacks in each group; with fewer there is no verdict [ours]."""
NEAR = 0.2
"""A feedback is explained by the prior if it is as near to a feedback without examples as at
least 1 - NEAR of these are to another of them; the share is then corrected for the rest
[ours, after the estimate of true nulls in Storey 2002].
"""


@dataclass(frozen=True, kw_only=True)
class ReflectionBias:
    """The share of feedbacks that prior beliefs explain, and the similarities behind it.

    Similarities are mean cosines of tf-idf vectors, from 0 to 1, with bootstrap intervals over the
    feedbacks.
    """

    verdict: Verdict
    explained: Estimate
    """Share of the feedbacks on errors that the prior explains."""
    across_errors: Estimate
    """Similarity of the feedbacks on disjoint error sets."""
    errors_right: Estimate
    """Similarity of feedbacks on errors to those on right answers in their place."""
    errors_nothing: Estimate
    """Similarity of feedbacks on errors to those without any example."""
    across_nothing: Estimate
    """Similarity of the feedbacks without any example."""
    p_nothing: float | None
    """The p-value of the permutation test that feedbacks on errors and without examples are one
    population; None where there are too few.
    """
    p_right: float | None
    """The same for right answers in place of the errors."""

    @property
    def sentence(self) -> str:
        """Return the verdict with its figures, for people."""
        if not self.explained.items:
            return "Cannot be told: there are too few feedbacks."
        relation = (
            "differ from"
            if self.p_nothing is not None and self.p_nothing <= 0.05
            else "show no significant difference from"
        )
        return (
            f"{self.verdict.capitalize()}: the prior explains {figure(self.explained)} of the "
            "feedbacks on errors; as a whole "
            f"they {relation} feedbacks without any example ({chance(self.p_nothing)})."
        )


def reflection_bias(feedbacks: Sequence[Feedback], rng: Random) -> ReflectionBias:
    """Return the measure over all feedbacks of one prompt, in any order."""
    groups = _Groups(feedbacks, np.random.default_rng(rng.randrange(2**32)))
    enough = min(groups.size("errors"), groups.size("nothing")) >= LEAST_FEEDBACKS
    explained = groups.explained() if enough else Estimate(None, 0.0, 1.0, 0)
    return ReflectionBias(
        verdict=share_above(explained),
        explained=explained,
        across_errors=groups.similarity("errors", "errors"),
        errors_right=groups.similarity("errors", "right"),
        errors_nothing=groups.similarity("errors", "nothing"),
        across_nothing=groups.similarity("nothing", "nothing"),
        p_nothing=groups.permutation_p("nothing"),
        p_right=groups.permutation_p("right"),
    )


class _Groups:
    """The feedbacks by what was shown, and the similarities of all pairs."""

    def __init__(self, feedbacks: Sequence[Feedback], chances: np.random.Generator) -> None:
        self._likeness = similarities([feedback.text for feedback in feedbacks])
        self._rows = {
            given: [at for at, feedback in enumerate(feedbacks) if feedback.given == given]
            for given in ("errors", "right", "nothing")
        }
        self._chances = chances

    def size(self, given: Given) -> int:
        """Return the number of feedbacks of a kind."""
        return len(self._rows[given])

    def similarity(self, first: Given, second: Given) -> Estimate:
        """Return the mean over pairs, a feedback never with itself.

        It is resampled by feedbacks, since the pairs of one are not independent.
        """
        block = self._block(first, second)
        if min(block.shape) < (2 if first == second else 1):
            return Estimate(None, 0.0, 1.0, 0)
        pairs = np.ones(block.shape) - (np.eye(len(block)) if first == second else 0)
        rows = self._weights(block.shape[0])
        columns = rows if first == second else self._weights(block.shape[1])
        weight = (rows @ pairs * columns).sum(axis=1)
        means = (rows @ (block * pairs) * columns).sum(axis=1) / np.maximum(weight, 1)
        low, high = ends(sorted(means[weight > 0].tolist()))
        return Estimate(float((block * pairs).sum() / pairs.sum()), low, high, len(block))

    def explained(self) -> Estimate:
        """Return the share of feedbacks on errors that the prior explains.

        The interval is never narrower than Wilson's: a bootstrap of values that are all equal would
        have no width.
        """
        among = self._block("nothing", "nothing") - 2 * np.eye(self.size("nothing"))
        to_another = among.max(axis=1)
        # The quantile of feedbacks without examples among themselves sets the scale of near.
        near = np.quantile(to_another, NEAR, method="lower") - 1e-9
        hits, base = self._block("errors", "nothing").max(axis=1) >= near, to_another >= near
        resampled = (
            self._weights(len(hits)) @ hits / len(hits),
            self._weights(len(base)) @ base / len(base),
        )
        low, high = ends(
            sorted(np.minimum(1.0, resampled[0] / np.maximum(resampled[1], 1e-9)).tolist())
        )
        share = min(1.0, float(hits.mean() / base.mean()))
        least = wilson(share * len(hits), len(hits))
        return Estimate(share, min(low, least.low), max(high, least.high), len(hits))

    def permutation_p(self, other: Given) -> float | None:
        """Return the p-value of the energy distance to the feedbacks on `other`.

        Szekely & Rizzo 2004, labels permuted. It is None with fewer than 2 feedbacks in a group.
        """
        n, m = self.size("errors"), self.size(other)
        if min(n, m) < 2:
            return None
        rows = [*self._rows["errors"], *self._rows[other]]
        distance = 1 - self._likeness[np.ix_(rows, rows)]
        label = np.repeat([1 / n, -1 / m], [n, m])
        permuted = np.stack([label, *(self._chances.permutation(label) for _ in range(RESAMPLES))])
        # With weights 1/n and -1/m the energy distance is -w D w.
        energy = -(permuted @ distance * permuted).sum(axis=1)
        return float((energy >= energy[0] - 1e-12).mean())

    def _block(self, first: Given, second: Given) -> Matrix:
        return self._likeness[np.ix_(self._rows[first], self._rows[second])]

    def _weights(self, size: int) -> Matrix:
        """Return how often each of `size` things is drawn; shape (RESAMPLES, size)."""
        drawn = self._chances.multinomial(size, [1 / size] * size, size=RESAMPLES)
        return drawn.astype(np.float64)
