"""How often a report on graded scores says something false, and how often its intervals hold.

    python -m tests.benchmarks.graded_false_positives [--reports 1000] [--items 60] [--samples 1000]

Prints Markdown tables, in about two minutes. A report has 3 strategies on 2 tasks with 2 seeds, all
of them and the baseline equally good, so that every "better" or "worse" in it is false. The shapes
are those of tests/contracts/graded_shapes.py; the last table compares kinds of bootstrap.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from scipy.stats import norm

from optimizer.statistics import estimate, gain_interval, wilson
from optimizer.statistics.bootstrap import RESAMPLES, bootstrap_ends
from tests.contracts.graded_reports import report, says_so_uncorrected, says_something_false
from tests.contracts.graded_shapes import SHAPES, Floats, Shape, better

ITEM_COUNTS = (20, 50, 100, 300)
SHARED, GAP = 0.7, 0.1
Ends = tuple[float, float]


def false_share(shape: Shape, reports: int, items: int) -> tuple[int, int]:
    """Reports that say something false, and those that would without correction."""
    found = [report(np.random.default_rng([number, 3]), shape, items) for number in range(reports)]
    return sum(map(says_something_false, found)), sum(map(says_so_uncorrected, found))


def coverage_of_mean(shape: Shape, samples: int, items: int) -> float:
    rng = np.random.default_rng(items)
    found = (estimate(shape.draw(rng, (items,)).tolist()) for _ in range(samples))
    return sum(one.low <= shape.mean <= one.high for one in found) / samples


def coverage_of_gain(shape: Shape, samples: int, items: int) -> float:
    rng = np.random.default_rng(items)

    def held() -> bool:
        before, after = shape.paired(rng, 2, items, SHARED)
        found = gain_interval(before.tolist(), better(rng, after, shape.mean, GAP).tolist())
        return found.low <= GAP <= found.high

    return sum(held() for _ in range(samples)) / samples


@cache
def counts(items: int) -> Floats:
    """How often each item is in each resample."""
    return np.random.default_rng(items).multinomial(items, [1 / items] * items, RESAMPLES) * 1.0


def percentile(values: Floats) -> Ends:
    means = counts(len(values)) @ values / len(values)
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high


def bca(values: Floats) -> Ends:
    """Bias-corrected and accelerated (Efron 1987)."""
    means, mean = counts(len(values)) @ values / len(values), values.mean()
    below = np.mean(means < mean) + np.mean(means == mean) / 2
    bias, away = norm.ppf(np.clip(below, 1e-4, 1 - 1e-4)), values - mean
    spread = (away**2).sum()
    skew = (away**3).sum() / (6 * spread**1.5) if spread else 0.0
    tails = [norm.cdf(bias + (bias + z) / (1 - skew * (bias + z))) for z in (-1.96, 1.96)]
    low, high = np.quantile(means, tails)
    return low, high


def percentile_t(values: Floats) -> Ends:
    """Studentized (Efron 1982); resamples without any spread count as infinitely far."""
    means, mean = counts(len(values)) @ values / len(values), values.mean()
    variances = np.maximum(counts(len(values)) @ values**2 / len(values) - means**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.nan_to_num((means - mean) / np.sqrt(variances))
    low, high = np.sort(away)[[49, RESAMPLES - 50]]
    return max(0.0, mean - high * values.std()), min(1.0, mean - low * values.std())


KINDS: dict[str, Callable[[Floats], Ends]] = {
    "with pseudo-items": lambda values: bootstrap_ends(values.tolist(), (0.0, 1.0)),
    "percentile": percentile,
    "BCa": bca,
    "percentile-t": percentile_t,
}


def by_kind(shape: Shape, samples: int, items: int) -> Iterator[str]:
    """Coverage and mean width of each kind of bootstrap."""
    rng = np.random.default_rng(items)
    drawn = [shape.draw(rng, (items,)) for _ in range(samples)]
    for ends in KINDS.values():
        found = np.array([ends(values) for values in drawn])
        held = np.mean((found[:, 0] <= shape.mean) & (shape.mean <= found[:, 1]))
        yield f"{100 * held:.1f}% ({np.mean(found[:, 1] - found[:, 0]):.2f})"


def table(*heads: str) -> Callable[..., None]:
    """Print the head of a table, and return what prints a row."""
    print(f"| {' | '.join(heads)} |", "|".join(["", *["---"] * len(heads), ""]), sep="\n")
    return lambda *cells: print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=1000, help="of each shape (default: 1000)")
    parser.add_argument("--items", type=int, default=60, help="of each test split (default: 60)")
    parser.add_argument("--samples", type=int, default=1000, help="for coverage (default: 1000)")
    given = parser.parse_args()
    print(f"Reports of equal prompts; {given.reports} of each shape, {given.items} test items:\n")
    row = table("shape", "say something false", "95% interval", "without correction")
    for name, shape in SHAPES.items():
        false, naive = false_share(shape, given.reports, given.items)
        ends = wilson(false, given.reports)
        row(
            name,
            f"{100 * false / given.reports:.1f}%",
            f"{100 * ends.low:.1f}% to {100 * ends.high:.1f}%",
            f"{100 * naive / given.reports:.1f}%",
        )
    print(f"\n95% intervals that hold the truth, of {given.samples}: of a mean, and of a gain:\n")
    row = table("shape", *(f"{items} items" for items in ITEM_COUNTS))
    for name, shape in SHAPES.items():
        row(
            name,
            *(
                f"{100 * coverage_of_mean(shape, given.samples, items):.1f}%, "
                f"{100 * coverage_of_gain(shape, given.samples, items):.1f}%"
                for items in ITEM_COUNTS
            ),
        )
    print(f"\nKinds of bootstrap for a mean, of {given.samples}: coverage (mean width):\n")
    row = table("shape", "items", *KINDS)
    for name, shape in SHAPES.items():
        for items in ITEM_COUNTS:
            row(name, str(items), *by_kind(shape, given.samples, items))


if __name__ == "__main__":
    main()
