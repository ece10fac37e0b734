"""Examples -> train, dev and test: distinct, shuffled by the seed, disjoint. Knows no file."""

from collections.abc import Sequence
from random import Random

from optimizer.errors import DataError
from optimizer.tasks.task import Sizes
from optimizer.types import Example

Splits = tuple[tuple[Example, ...], tuple[Example, ...], tuple[Example, ...]]


def distinct(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The first example of each input. Inputs that differ only in case or white space are one: they must not leak across splits."""
    first_by_input: dict[str, Example] = {}
    for example in examples:
        first_by_input.setdefault(" ".join(example.input.split()).casefold(), example)
    return tuple(first_by_input.values())


def split(name: str, examples: Sequence[Example], sizes: Sizes, rng: Random) -> Splits:
    """Train, dev and test. `examples` must be distinct. Raises DataError with the numbers where they are too few."""
    if len(examples) < sizes.total:
        raise DataError(
            f"Task {name!r} has {len(examples)} distinct examples, but train {sizes.train} + dev {sizes.dev} + test {sizes.test} "
            f"need {sizes.total}; make the splits smaller or give more examples.")
    drawn = rng.sample(list(examples), sizes.total)
    dev_end = sizes.train + sizes.dev
    return tuple(drawn[: sizes.train]), tuple(drawn[sizes.train : dev_end]), tuple(drawn[dev_end:])
