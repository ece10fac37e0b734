"""Splits of a source: drawn, or its own, in a column that names them or in files of their own."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from optimizer.tasks.rows import Source
from optimizer.tasks.sizes import SPLITS, SizeRule
from optimizer.tasks.splitting import Splits, split, split_as_given
from optimizer.types import Example

_FIRST = ("test", "dev", "train")
"""What stands in two splits stays in the first of these."""


def merged(source_by_split: Mapping[str, Source]) -> Source:
    """Return one source of three, or two, whose examples know their splits."""
    parts = {name: source_by_split[name] for name in SPLITS if name in source_by_split}
    first = next(iter(parts.values()))
    alike = len({part.name for part in parts.values()}) < len(parts)
    examples = [
        # Three files may have one name, in folders of their own.
        replace(example, id=f"{name}/{example.id}") if alike else example
        for name, part in parts.items()
        for example in part.examples
    ]
    systems = {part.system for part in parts.values()}
    return Source(
        first.name,
        next((part.description for part in parts.values() if part.description), ""),
        tuple(examples),
        tuple(sorted({name for part in parts.values() for name in part.unused})),
        tuple(name for name, part in parts.items() for _ in part.examples),
        systems.pop() if len(systems) == 1 else "",
        tuple(note for part in parts.values() for note in part.notes),
        lambda numbers: _rows_of(tuple(parts.values()), numbers),
    )


def _rows_of(parts: Sequence[Source], numbers: Collection[int]) -> dict[int, Mapping[str, Any]]:
    found, before = dict[int, Mapping[str, Any]](), 0
    for part in parts:
        here = [n - before for n in numbers if before < n <= before + len(part.examples)]
        if here and part.rows_at is not None:
            found |= {before + n: row for n, row in part.rows_at(here).items()}
        before += len(part.examples)
    return found


def separated(found: Source) -> tuple[list[Example], list[str]]:
    """Return the examples of a source with its own splits, the test split first, and the leaks.

    A leak is an input that stands in two splits: it stays in the test split, or else in the dev
    split, and a sentence says how many there are.
    """
    split_by_id = split_of(found)
    ordered = sorted(found.examples, key=lambda example: _FIRST.index(split_by_id[example.id]))
    first: dict[object, str] = {}
    leaks: Counter[tuple[str, str]] = Counter()
    kept = []
    for example in ordered:
        own = split_by_id[example.id]
        text = " ".join(example.input.split()).casefold()
        key = (text, frozenset(example.answers), example.history)
        if first.setdefault(key, own) == own:
            kept.append(example)
        else:
            leaks[first[key], own] += 1
    return kept, [
        f"{count} {'input' if count == 1 else 'inputs'} of the own split {stays} "
        f"{'stands' if count == 1 else 'stand'} in {other} as well, and "
        f"{'was' if count == 1 else 'were'} left out of {other}"
        for (stays, other), count in leaks.items()
    ]


def split_of(found: Source) -> dict[str, str]:
    """Return the split of each example by its id."""
    return dict(zip((example.id for example in found.examples), found.splits, strict=True))


def splits_of(found: Source, examples: Sequence[Example], sizes: SizeRule, rng: Random) -> Splits:
    """Return the train, dev and test splits of a source.

    Args:
        found: The source.
        examples: Its distinct examples, as their grader needs them.
        sizes: How many examples each split gets.
        rng: The source of the random order.

    Raises:
        DataError: There are too few examples, or its own splits cannot be used.
    """
    if not found.splits:
        return split(found.name, examples, sizes, rng)
    own = split_of(found)
    by_split: dict[str, list[Example]] = {}
    for example in examples:
        by_split.setdefault(own[example.id], []).append(example)
    return split_as_given(found.name, by_split, sizes, rng)


def with_rows(found: Source, parts: Splits) -> Splits:
    """Return the splits with the whole row of each example, which its grader may look at."""
    if found.rows_at is None:
        return parts
    wanted = {example.id for part in parts for example in part}
    number_by_id = {
        example.id: number
        for number, example in enumerate(found.examples, 1)
        if example.id in wanted
    }
    rows = found.rows_at(number_by_id.values())
    train, dev, test = (
        tuple(replace(example, fields=rows[number_by_id[example.id]]) for example in part)
        for part in parts
    )
    return train, dev, test
