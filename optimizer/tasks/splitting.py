"""Train, dev and test splits of examples: distinct, shuffled by the seed, disjoint."""

from collections.abc import Sequence
from random import Random

from optimizer.errors import DataError, shortened
from optimizer.tasks.task import Sizes
from optimizer.types import Example

Splits = tuple[tuple[Example, ...], tuple[Example, ...], tuple[Example, ...]]


def distinct(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the first example of each input, so that no input stands in two splits.

    Inputs that differ only in case or white space are one where they have the same answers. Where
    they have not, case or white space is what the task is about.

    Raises:
        DataError: If one input occurs with different answers, so that none of them is right.
    """
    first_by_input: dict[str, Example] = {}
    first_by_meaning: dict[tuple[str, frozenset[str]], Example] = {}
    conflicts: list[tuple[Example, Example]] = []
    for example in examples:
        same = first_by_input.setdefault(example.input, example)
        if set(same.answers) != set(example.answers):
            conflicts.append((same, example))
        # Only the first of equal inputs enters the second check.
        elif same is example:
            first_by_meaning.setdefault(
                (" ".join(example.input.split()).casefold(), frozenset(example.answers)), example
            )
    if conflicts:
        (one, other), *more = conflicts
        rest = f", and {len(more)} more like it" if more else ""
        raise DataError(
            f"Examples {one.id} and {other.id} have the same input and different targets, "
            f"{shortened(one.answers[0])!r} and "
            f"{shortened(other.answers[0])!r}{rest}; correct one, or accept both with a list of "
            "targets."
        )
    return tuple(first_by_meaning.values())


def split(name: str, examples: Sequence[Example], sizes: Sizes, rng: Random) -> Splits:
    """Return random train, dev and test splits.

    Args:
        name: The task's name, for the message.
        examples: Distinct examples.
        sizes: Number of examples of each split.
        rng: The source of the random order.

    Raises:
        DataError: If the examples are too few; it has the numbers.
    """
    if len(examples) < sizes.total:
        raise DataError(
            f"Task {name!r} has {len(examples)} distinct examples, but train {sizes.train} + dev "
            f"{sizes.dev} + test {sizes.test} "
            f"need {sizes.total}; make the splits smaller or give more examples."
        )
    drawn = rng.sample(list(examples), sizes.total)
    dev_end = sizes.train + sizes.dev
    return tuple(drawn[: sizes.train]), tuple(drawn[sizes.train : dev_end]), tuple(drawn[dev_end:])
