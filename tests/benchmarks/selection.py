"""The selection rules side by side on made-up rounds: how often each finds an arm as good as the
best, and at what expense.

    python -m tests.benchmarks.selection [--cases 250] [--keep 1] [--seed 0] [--graded]

Prints Markdown tables, in about two minutes. The rounds are those of
tests/contracts/score_matrices.py, which says how they are made: 16 to 32 arms on 100 to 200 items
each. "Found" is a case in which the arm that the rule puts first has a mean over all items (brute
force) within 0.02 of the best arm's. `--graded` prints a table of graded scores instead, with one
planted best of 12 arms on 80 items (tests/contracts/graded_shapes.py).
"""

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from optimizer.protocols import SelectionRule
from optimizer.selection import UCB, UCBE, Full, Racing, SuccessiveHalving, SuccessiveRejects
from tests.contracts.graded_shapes import SHAPES, planted
from tests.contracts.score_matrices import (
    FAMILIES,
    LOOSE,
    PAIRED,
    WITH_A_BEST_ARM,
    Case,
    cases,
    play,
)

NEAR = 0.02 + 1e-9
SHARES = (0.25, 0.5)
HEADER = ("rule", "pairs", "batches", *FAMILIES, "with a best arm", "mean shortfall")


@dataclass(frozen=True)
class Fared:
    """How a rule fared in the cases of one family; means over the cases."""

    found: float
    shortfall: float
    pairs: float
    """Measured, as a share of all pairs."""
    batches: float


def rules() -> Iterator[tuple[str, SelectionRule]]:
    yield "`full`", Full()
    yield "`racing`, no budget (its default)", Racing()
    for share in SHARES:
        yield f"`racing`, {share}", Racing(budget_share=share)
        yield f"`successive_rejects`, {share}", SuccessiveRejects(budget_share=share)
        yield f"`successive_halving`, {share}", SuccessiveHalving(budget_share=share)
        yield f"`ucb_e`, {share}", UCBE(budget_share=share)
        yield f"`ucb`, {share}", UCB(budget_share=share)


async def fared(
    rule: SelectionRule, family: str, options: argparse.Namespace, spreads: tuple[float, float]
) -> Fared:
    shortfalls, pairs, batches = [], [], []
    for case in cases(family, options.cases, options.seed, spreads):
        played = await play(rule, case, options.keep)
        shortfalls.append(case.shortfall(played.order[0]))
        pairs.append(played.pairs / case.scores.size)
        batches.append(played.batches)
    return Fared(
        fmean(shortfall <= NEAR for shortfall in shortfalls),
        fmean(shortfalls),
        fmean(pairs),
        fmean(batches),
    )


async def row(
    name: str, rule: SelectionRule, options: argparse.Namespace, spreads: tuple[float, float]
) -> list[str]:
    by_family = {family: await fared(rule, family, options, spreads) for family in FAMILIES}
    everything = by_family.values()
    found = [f"{100 * one.found:.1f}%" for one in everything]
    best_arm = fmean(by_family[family].found for family in WITH_A_BEST_ARM)
    return [
        name,
        f"{fmean(one.pairs for one in everything):.2f}",
        f"{fmean(one.batches for one in everything):.0f}",
        *found,
        f"**{100 * best_arm:.1f}%**",
        f"{fmean(one.shortfall for one in everything):.4f}",
    ]


async def table(options: argparse.Namespace, spreads: tuple[float, float]) -> None:
    print(f"| {' | '.join(HEADER)} |", "|".join(["", *["---"] * len(HEADER), ""]), sep="\n")
    for name, rule in rules():
        print(f"| {' | '.join(await row(name, rule, options, spreads))} |", flush=True)


async def graded_table(count: int) -> None:
    """Print how often each rule puts the planted best first, and what it measures, by shape."""
    print(f"| rule | {' | '.join(SHAPES)} |", "|---" * (len(SHAPES) + 1) + "|", sep="\n")
    for name, rule in rules():
        cells = []
        for shape in SHAPES:
            found, pairs = 0, 0.0
            for number in range(count):
                scores, best = planted(shape, number)
                played = await play(rule, Case(shape, scores))
                found += played.order[0] == best
                pairs += played.pairs / scores.size
            cells.append(f"{100 * found / count:.0f}% ({pairs / count:.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=250, help="of each family (default: 250)")
    parser.add_argument("--keep", type=int, default=1, help="arms to keep (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--graded", action="store_true", help="graded scores, of five shapes")
    options = parser.parse_args()
    if options.graded:
        asyncio.run(graded_table(options.cases))
        return
    for title, spreads in (
        ("Paired as recorded rounds are, or looser", PAIRED),
        ("Loosely paired", LOOSE),
    ):
        print(f"\n{title}; {options.cases} cases of each family, keep {options.keep}:\n")
        asyncio.run(table(options, spreads))


if __name__ == "__main__":
    main()
