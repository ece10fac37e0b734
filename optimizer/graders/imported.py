"""A grader that comes from elsewhere, held to the contract of those in the table.

It is a function `(response, example) -> Score`, sync or async, an object or a class of such, or
one with a method `grade(pairs)` that takes a whole batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from optimizer.errors import DataError, PromptrayError, shortened
from optimizer.graders.base import PureGrader
from optimizer.registry import Unfit
from optimizer.types import Completion, Example, Score


@dataclass(frozen=True)
class ImportedGrader(PureGrader):
    """A function `(response, example) -> Score`, with what our own graders say beside."""

    name: str
    function: Callable[[Completion, Example], Score]
    accepts: str
    answer_line: str = ""

    def score(self, response: Completion, example: Example) -> Score:
        """Return the score that the function gives.

        Raises:
            DataError: It raises, or gives something else. A fault of the code is no verdict on a
                response: the trial fails with this sentence.
        """
        try:
            found = self.function(response, example)
        except PromptrayError:
            raise
        except Exception as problem:  # whatever code of others raises
            raise failing(self.name, example, problem) from problem
        return expect_score(self.name, example, found)


@dataclass(frozen=True)
class AsyncImportedGrader:
    """An async function `(response, example) -> Score`, or one for a whole batch."""

    name: str
    function: Callable[..., Awaitable[Any]]
    accepts: str
    answer_line: str = ""
    batched: bool = False

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return the scores that the function gives, all of a batch at once.

        Raises:
            DataError: It raises, or gives something else.
        """
        if not self.batched:
            return list(await asyncio.gather(*(self._one(*pair) for pair in pairs)))
        try:
            found = await self.function(pairs)
        except PromptrayError:
            raise
        except Exception as problem:  # whatever code of others raises
            raise failing(self.name, pairs[0][1], problem) from problem
        if not isinstance(found, Sequence) or len(found) != len(pairs):
            raise DataError(
                f"The scorer {self.name} gives {shortened(repr(found))} for {len(pairs)} "
                "responses; it must give one optimizer.types.Score for each."
            )
        return [
            expect_score(self.name, example, score)
            for (_, example), score in zip(pairs, found, strict=True)
        ]

    async def _one(self, response: Completion, example: Example) -> Score:
        try:
            found = await self.function(response, example)
        except PromptrayError:
            raise
        except Exception as problem:  # whatever code of others raises
            raise failing(self.name, example, problem) from problem
        return expect_score(self.name, example, found)

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return False: what form a function asks for is not known."""
        return False


def failing(name: str, example: Example, problem: Exception) -> DataError:
    """Return the error for a grader's code that raises."""
    return DataError(
        f"The scorer {name} fails on example {shortened(example.id)} "
        f"({shortened(f'{type(problem).__name__}: {problem}')}); it must give a Score for every "
        "response."
    )


def expect_score(name: str, example: Example, found: object) -> Score:
    """Return what a grader's code gave, which must be a possible score.

    Raises:
        DataError: It is none.
    """
    if isawaitable(found):
        getattr(found, "close", lambda: None)()
    if isinstance(found, Score) and _is_possible(found):
        return found
    raise DataError(
        f"The scorer {name} gives {shortened(repr(found))} for example {shortened(example.id)}; it "
        "must give an optimizer.types.Score, with a credit of 0.0 to 1.0 where it gives one."
    )


def _is_possible(score: Score) -> bool:
    value = score.value
    return value is None or (isinstance(value, int | float) and 0.0 <= value <= 1.0)


def as_grader_kind(name: str, found: object) -> Callable[..., Any]:
    """Return what was found under a name as a kind of grader.

    It may have a text `accepts`, for people, and a text `answer_line`, for prompts. A class is
    made with the grader's settings.

    Raises:
        Unfit: It cannot be called, and has no method `grade` either.
    """
    if not isinstance(found, type):
        made = _covered(name, found)
        return _Fixed(made)
    return _Class(name, found, "" if _needs_settings(found) else _covered(name, found()).accepts)


@dataclass(frozen=True)
class _Fixed:
    """The kind of a grader that has no settings."""

    grader: ImportedGrader | AsyncImportedGrader

    @property
    def accepts(self) -> str:
        return self.grader.accepts

    def __call__(self) -> ImportedGrader | AsyncImportedGrader:
        return self.grader


@dataclass(frozen=True)
class _Class:
    """The kind of a grader that is a class of somebody else's."""

    name: str
    made: type[Any]
    accepts: str

    def __call__(self, **settings: Any) -> ImportedGrader | AsyncImportedGrader:
        return _covered(self.name, self.made(**settings))


def _needs_settings(found: type[Any]) -> bool:
    try:
        found()
    except TypeError:
        return True
    return False


def _covered(name: str, found: Any) -> ImportedGrader | AsyncImportedGrader:
    batched = iscoroutinefunction(getattr(found, "grade", None))
    if not callable(found) and not batched:
        raise Unfit("it cannot be called with (response, example)")
    lines = (getattr(found, "__doc__", None) or "").strip().splitlines()
    accepts = str(getattr(found, "accepts", "") or (lines[0] if lines else "")).rstrip(".")
    answer_line = str(getattr(found, "answer_line", ""))
    if batched:
        return AsyncImportedGrader(name, found.grade, accepts, answer_line, batched=True)
    if iscoroutinefunction(found) or iscoroutinefunction(getattr(found, "__call__", None)):  # noqa: B004
        return AsyncImportedGrader(name, found, accepts, answer_line)
    return ImportedGrader(name, found, accepts, answer_line)
