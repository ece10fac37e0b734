"""Figures by class: a confusion matrix, accuracy by class, macro-F1.

Knows targets and the answers that were read, not where they come from.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

UNREADABLE = "(unreadable)"
"""Column of the answers from which nothing was read."""
OTHER = "(other)"
"""Column of the answers that are none of the classes."""
MOST_CLASSES = 30
"""Classes up to which a matrix can be read [ours]."""
LONGEST_CLASS = 60
"""Characters of a class's name: longer targets are texts, not classes [ours]."""
LEAST_ITEMS = 3
"""Items of a class on average, from which targets count as classes [ours]."""
_NUMBER = re.compile(r"[-+]?[\d.,]+%?")
_EDGES = re.compile(r"^[\s\"'`*(\[{<]+|[\s\"'`*)\]}>.,;:!]+$")


@dataclass(frozen=True)
class Confusion:
    """How often items of each class were answered with each class."""

    classes: tuple[str, ...]
    """The classes of the targets: the rows."""
    answers: tuple[str, ...]
    """The columns: the classes in the same order, then OTHER and UNREADABLE where there are any."""
    counts: tuple[tuple[int, ...], ...]
    """`counts[row][column]`: items of that class with that answer."""

    @property
    def items(self) -> int:
        """Return the number of items that were answered."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float | None:
        """Return the share of the items that were answered with their class; None without items."""
        right = sum(row[place] for place, row in enumerate(self.counts))
        return right / self.items if self.items else None

    @property
    def macro_f1(self) -> float | None:
        """Return the mean of the classes' F1; None without items.

        Over the classes that some item has, or that some answer gives.
        """
        found = [one.f1 for one in self.by_class if one.f1 is not None]
        return fmean(found) if found else None

    @property
    def by_class(self) -> tuple["ClassFigures", ...]:
        """Return the figures of each class, in order."""
        return tuple(
            ClassFigures(
                name,
                sum(row),
                row[place],
                sum(other[place] for other in self.counts),
            )
            for place, (name, row) in enumerate(zip(self.classes, self.counts, strict=True))
        )


@dataclass(frozen=True)
class ClassFigures:
    """How one class was answered."""

    name: str
    items: int
    """Items of the class that were answered."""
    right: int
    answered: int
    """Items, of whatever class, that were answered with this class."""

    @property
    def accuracy(self) -> float | None:
        """Return the share of the class's items that are right (recall); None without items."""
        return self.right / self.items if self.items else None

    @property
    def precision(self) -> float | None:
        """Return the share of the answers with this class that are right; None without any."""
        return self.right / self.answered if self.answered else None

    @property
    def f1(self) -> float | None:
        """Return the harmonic mean of precision and recall; None without items and answers."""
        total = self.items + self.answered
        return 2 * self.right / total if total else None


def classes_of(targets: Sequence[str], choices: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the classes that the targets are of, or () where they are no classes.

    Targets are classes if they come from the task's own choices, or if they are few and short, no
    numbers, and come again [ours].

    Args:
        targets: The target of each item.
        choices: The answers that the task allows; empty where it names none.

    Returns:
        The choices in their order, or else the targets by name.
    """
    known, found = tuple(dict.fromkeys(choices)), set(targets)
    if not found or len(found | set(known)) > MOST_CLASSES:
        return ()
    if found <= set(known):
        return known
    short = all(0 < len(target) <= LONGEST_CLASS and "\n" not in target for target in found)
    often = len(found) > 1 and len(targets) >= LEAST_ITEMS * len(found)
    numbers = all(_NUMBER.fullmatch(target) for target in found)
    return tuple(sorted(found)) if short and often and not numbers else ()


def confusion(
    targets: Sequence[str],
    answers: Sequence[str | None],
    right: Sequence[bool] | None = None,
    classes: Sequence[str] = (),
) -> Confusion:
    """Count how the items of each class were answered.

    An answer belongs to the class that it names, whatever its case, or the marks around it. One
    that the grader accepted belongs to the target's class: "B" may be as right as "(B)".

    Args:
        targets: The class of each item.
        answers: What was read from each answer: "" where nothing could be read, None where no
            answer came. The latter are left out.
        right: Whether the grader accepted each answer; None: the names alone decide.
        classes: Classes in the order of the rows, some perhaps without items; others follow.

    Raises:
        ValueError: If the lengths differ.
    """
    rows = tuple(dict.fromkeys(chain(classes, sorted(set(targets)))))
    by_form = _by_form(rows)
    accepted = [False] * len(targets) if right is None else right
    counts: Counter[tuple[str, str]] = Counter()
    for target, answer, is_right in zip(targets, answers, accepted, strict=True):
        if answer is not None:
            counts[target, target if is_right else _class_of(answer, rows, by_form)] += 1
    seen = {answer for _, answer in counts}
    columns = (*rows, *(extra for extra in (OTHER, UNREADABLE) if extra in seen))
    return Confusion(
        rows,
        columns,
        tuple(tuple(counts[target, answer] for answer in columns) for target in rows),
    )


def _class_of(answer: str, classes: Sequence[str], by_form: Mapping[str, str]) -> str:
    if answer in classes:
        return answer
    return by_form.get(_form(answer), OTHER) if answer.strip() else UNREADABLE


def _by_form(classes: Sequence[str]) -> dict[str, str]:
    """Return plain form -> class, without forms that two classes share."""
    forms = Counter(map(_form, classes))
    return {_form(name): name for name in classes if forms[_form(name)] == 1}


def _form(answer: str) -> str:
    return _EDGES.sub("", answer).casefold()
