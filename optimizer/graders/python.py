"""Python: a function `(example, answer)` of one's own gives the score.

It is named `module:function`, and gives a bool, a number from 0 to 1, a pair of such a number and
feedback, or a Score; sync or async. What it raises, and what it gives beside these, stops the run
with a sentence that names the example: a fault of the code is no score.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from optimizer.errors import DataError, PromptrayError, SettingsError, shortened, unknown_name
from optimizer.prompt import without_thinking
from optimizer.registry import Registry, Unfit
from optimizer.types import Completion, Example, Score, graded
from optimizer.validators import at_least, at_most

Function = Callable[[Example, str], Any]


def _as_function(name: str, found: object) -> Function:
    if isinstance(found, type) or not callable(found):
        raise Unfit("it is no function (example, answer) that gives a score")
    function: Function = found
    return function


_TABLE: dict[str, Function] = {}
FUNCTIONS: Registry[Function] = Registry("grading function", _TABLE, "", _as_function)
"""The functions that were imported, by `module:function`."""


@dataclass(frozen=True)
class Python:
    """Lets a function of one's own grade; `answer` is the response without its reasoning."""

    function: str
    """`module:function`; its file stands under `code` in the settings, or is installed."""
    accepts: str = ""
    """Which answer is right, for people and for the optimizer model; "" takes the first line of the
    function's docstring.
    """
    answer_line: str = ""
    """The sentence that makes a prompt's answers readable, where the function needs one."""
    at_once: int = 1
    """Calls at once. Functions that are not async run in threads, so that more than 1 asks that
    they bear that.
    """
    timeout_s: float = 60.0
    """Seconds for one call [ours]; a longer one stops the run, as it would stop for ever else."""

    def __post_init__(self) -> None:
        at_least(1, at_once=self.at_once)
        at_most(1_000, at_once=self.at_once)
        if not 0 < self.timeout_s < math.inf:
            raise SettingsError(f"The setting timeout_s is {self.timeout_s}, and must be above 0.")
        if not self.accepts and self.function in FUNCTIONS:
            lines = (FUNCTIONS[self.function].__doc__ or "").strip().splitlines()
            object.__setattr__(self, "accepts", lines[0].rstrip(".") if lines else "")

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return what the function gives, in order.

        Raises:
            DataError: It raises, gives no score, or takes too long.
            SettingsError: It was not imported in this process.
        """
        if self.function not in FUNCTIONS:
            raise unknown_name(FUNCTIONS.noun, self.function, FUNCTIONS)
        free = asyncio.Semaphore(self.at_once)

        async def one(response: Completion, example: Example) -> Score:
            async with free:
                return await self._graded(response, example)

        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(one(*pair)) for pair in pairs]
        except* PromptrayError as problems:
            raise _first(problems) from None
        return [call.result() for call in calls]

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return False: what form the function asks for is not known."""
        return False

    async def _graded(self, response: Completion, example: Example) -> Score:
        function, answer = FUNCTIONS[self.function], without_thinking(response.text)
        try:
            async with asyncio.timeout(self.timeout_s):
                if iscoroutinefunction(function):
                    found = await function(example, answer)
                else:
                    found = await asyncio.to_thread(function, example, answer)
        except PromptrayError:
            raise
        except TimeoutError:
            raise self._fault(example, f"has taken more than {self.timeout_s:g} s") from None
        except Exception as problem:  # whatever code of others raises
            said = shortened(f"{type(problem).__name__}: {problem}")
            raise self._fault(example, f"fails ({said})") from problem
        score = as_score(found)
        if score is None:
            raise self._fault(
                example,
                f"gives {shortened(repr(found))}; it must give a bool, a number from 0 to 1, "
                "(number, feedback), or a Score",
            )
        return score

    def _fault(self, example: Example, what: str) -> DataError:
        return DataError(
            f"The grading function {self.function} {what}, for example {shortened(example.id)}."
        )


def as_score(found: Any) -> Score | None:
    """Return what a function gave as a Score; None for what is none."""
    if isinstance(found, Score):
        value = found.value
        return found if value is None or 0.0 <= value <= 1.0 else None
    feedback = ""
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], str):
        found, feedback = found
    # numpy's numbers have `item`, and are no floats
    value = found.item() if hasattr(found, "item") and not isinstance(found, str) else found
    if isinstance(value, bool | int | float) and 0.0 <= value <= 1.0:
        return graded(float(value), feedback=feedback)
    return None


def _first(problems: BaseExceptionGroup[Any]) -> BaseException:
    first: BaseException = problems
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
