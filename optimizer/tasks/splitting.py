"""Train, dev and test splits of examples: distinct, shuffled by the seed, disjoint."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from optimizer.errors import DataError, shortened
from optimizer.tasks.sizes import SPLITS, AutoSizes, Shares, SizeRule, Sizes, as_fits
from optimizer.types import Example

Splits = tuple[tuple[Example, ...], tuple[Example, ...], tuple[Example, ...]]
MOST_OF_OWN = 500
"""Examples that sizes auto takes of each split that a source has itself, at most [ours]."""


def distinct(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Return the first example of each input, so that no input stands in two splits.

    Inputs that differ only in case or white space are one where they have the same answers. Where
    they have not, case or white space is what the task is about.

    Raises:
        DataError: If one input occurs with different answers, so that none of them is right.
    """
    kept, fault = first_of_each(examples)
    if fault:
        raise DataError(fault)
    return kept


def first_of_each(examples: Iterable[Example]) -> tuple[tuple[Example, ...], str]:
    """Return what `distinct` does, and its fault, or ""."""
    first_by_input: dict[object, Example] = {}
    first_by_meaning: dict[object, Example] = {}
    conflicts: list[tuple[Example, Example]] = []
    for example in examples:
        same = first_by_input.setdefault((example.input, example.history), example)
        if set(same.answers) != set(example.answers):
            conflicts.append((same, example))
        # Only the first of equal inputs enters the second check.
        elif same is example:
            first_by_meaning.setdefault(_meaning(example), example)
    if not conflicts:
        return tuple(first_by_meaning.values()), ""
    (one, other), *more = conflicts
    rest = f", and {len(more)} more like it" if more else ""
    targets = [shortened(next(iter(found.answers), "none")) for found in (one, other)]
    return tuple(first_by_meaning.values()), (
        f"Examples {one.id} and {other.id} have the same input and different targets, "
        f"{targets[0]!r} and {targets[1]!r}{rest}; correct one, or accept both with a list of "
        "targets."
    )


def _meaning(example: Example) -> object:
    text = " ".join(example.input.split()).casefold()
    return text, frozenset(example.answers), example.history


def split(name: str, examples: Sequence[Example], sizes: SizeRule, rng: Random) -> Splits:
    """Return random train, dev and test splits.

    Args:
        name: The task's name, for the message.
        examples: Distinct examples.
        sizes: How many examples each split gets.
        rng: The source of the random order.

    Raises:
        DataError: If the examples are too few; it has the numbers, and sizes that fit.
    """
    try:
        fitted = sizes.fitted(len(examples))
    except DataError as problem:
        raise DataError(f"Task {name!r} {problem}.") from None
    if sizes.stratified and fitted != Sizes() and _has_classes(examples):
        return _stratified(examples, fitted, rng)
    drawn = rng.sample(list(examples), fitted.total)
    dev_end = fitted.train + fitted.dev
    return (
        tuple(drawn[: fitted.train]),
        tuple(drawn[fitted.train : dev_end]),
        tuple(drawn[dev_end:]),
    )


def _has_classes(examples: Sequence[Example]) -> bool:
    return 2 * len({example.answers[:1] for example in examples}) <= len(examples)


def _stratified(examples: Sequence[Example], sizes: Sizes, rng: Random) -> Splits:
    """Return splits that each have their share of every class, give or take one example."""
    by_class: dict[tuple[str, ...], list[Example]] = {}
    for example in examples:
        by_class.setdefault(example.answers[:1], []).append(example)
    placed: list[tuple[float, int, Example]] = []
    for number, members in enumerate(by_class.values()):
        rng.shuffle(members)
        # Evenly over the whole, so that every part of it has its share of the class.
        start = rng.random()
        placed += [
            ((place + start) / len(members), number, example)
            for place, example in enumerate(members)
        ]
    order = [example for _, _, example in sorted(placed, key=lambda one: one[:2])]
    dev_end = sizes.train + sizes.dev
    parts = [order[: sizes.train], order[sizes.train : dev_end], order[dev_end : sizes.total]]
    for part in parts:
        rng.shuffle(part)
    train, dev, test = map(tuple, parts)
    return train, dev, test


def split_as_given(
    name: str, own: Mapping[str, Sequence[Example]], sizes: SizeRule, rng: Random
) -> Splits:
    """Return the splits that a source has itself, or as many examples of each as are wanted.

    A dev split that it has not is drawn from its train split.

    Args:
        name: The task's name, for the message.
        own: The examples by split, of SPLITS; distinct, also between the splits.
        sizes: How many of each; auto takes all, at most MOST_OF_OWN.
        rng: The source of the random order.

    Raises:
        DataError: A split is missing, or has too few examples.
    """
    has = {part: list(examples) for part, examples in own.items() if examples}
    if missing := [part for part in ("train", "test") if part not in has]:
        raise DataError(
            f"Task {name!r} has no examples of its own split {' and '.join(missing)}; add them, or "
            "leave its own splits out, so that splits are drawn."
        )
    if isinstance(sizes, Shares):
        raise DataError(
            f"Task {name!r} has its own splits, of which no shares can be taken; use sizes auto, "
            "or counts."
        )
    if isinstance(sizes, AutoSizes):
        drawn = as_fits(len(has["train"])).dev if "dev" not in has else 0
        wanted = {part: min(MOST_OF_OWN, len(found)) for part, found in has.items()}
        wanted |= (
            {"dev": drawn, "train": min(MOST_OF_OWN, len(has["train"]) - drawn)} if drawn else {}
        )
    else:
        wanted = {part: getattr(sizes, part) for part in SPLITS}
    if "dev" not in has:
        pool = rng.sample(has["train"], len(has["train"]))
        has |= {"dev": pool[: wanted["dev"]], "train": pool[wanted["dev"] :]}
    if few := [part for part in SPLITS if len(has[part]) < max(1, wanted[part])]:
        counts = ", ".join(f"{part} {len(has[part])} of {wanted[part]}" for part in few)
        fitting = ",".join(str(max(1, min(wanted[part], len(has[part])))) for part in SPLITS)
        raise DataError(
            f"Task {name!r} has too few examples in its own splits ({counts}): use sizes auto or "
            f"{fitting}."
        )
    train, dev, test = (tuple(rng.sample(has[part], wanted[part])) for part in SPLITS)
    return train, dev, test
