"""Graded scores of five shapes with known means, and prompts whose scores share their items."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
TIES, TIE_CHANCES = (0.0, 0.25, 0.5, 0.75, 1.0), (0.02, 0.08, 0.75, 0.1, 0.05)


@dataclass(frozen=True)
class Shape:
    """How scores are distributed."""

    draw: Callable[[Rng, tuple[int, ...]], Floats]
    mean: float

    def paired(self, rng: Rng, arms: int, items: int, shared: float) -> Floats:
        """Scores (arms, items) of prompts that are equally good.

        A share `shared` of each prompt's scores is the item's own, and the rest are drawn anew.
        """
        own = self.draw(rng, (1, items)).repeat(arms, axis=0)
        return np.where(rng.random((arms, items)) < shared, own, self.draw(rng, (arms, items)))


def better(rng: Rng, scores: Floats, mean: float, gap: float) -> Floats:
    """The scores of a prompt that is better by `gap` on average: some items become right."""
    assert gap <= 1 - mean, "there is no such room"
    return np.where(rng.random(scores.shape) < gap / (1 - mean), 1.0, scores)


def planted(shape: str, number: int, arms: int = 12, items: int = 80) -> tuple[Floats, int]:
    """Equal arms but for one, which is better by 0.12 on average; with that one's number."""
    rng = np.random.default_rng([number, 7])
    scores = SHAPES[shape].paired(rng, arms, items, 0.7)
    best = int(rng.integers(arms))
    scores[best] = better(rng, scores[best], SHAPES[shape].mean, 0.12)
    return scores, best


def _bimodal(rng: Rng, size: tuple[int, ...]) -> Floats:
    return np.where(rng.random(size) < 0.6, rng.beta(20, 1, size), rng.beta(1, 20, size))


SHAPES: dict[str, Shape] = {
    "binary": Shape(lambda rng, size: (rng.random(size) < 0.6).astype(np.float64), 0.6),
    "uniform": Shape(lambda rng, size: rng.random(size), 0.5),
    "bimodal": Shape(_bimodal, 0.6 * 20 / 21 + 0.4 / 21),
    "mostly zero": Shape(
        lambda rng, size: np.where(rng.random(size) < 0.1, rng.random(size), 0.0), 0.05
    ),
    "heavy ties": Shape(
        lambda rng, size: rng.choice(TIES, size, p=TIE_CHANCES), float(np.dot(TIES, TIE_CHANCES))
    ),
}
