"""Where the commands print to, and how they end."""

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cluster.cli.streams import drop, sheltered
from optimizer.errors import escaped, shortened


class _Nowhere(io.StringIO):
    """Takes everything, and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


_NOWHERE = _Nowhere()


class SafeConsole(Console):
    """Prints what a terminal would interpret in text from data or models as an escape; its own
    colours stay.

    Where nobody takes its output any more, it ends the command, unless that is `steady`.
    """

    steady = False
    """Does the command go on when its output is lost?"""
    lost = False
    """Is nothing written any more?"""

    @property
    def file(self) -> IO[str]:
        return sheltered(_NOWHERE if self.lost else super().file, self._lose)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def _lose(self, problem: Exception) -> None:
        """The reader has gone (a pipe), the terminal has hung up, or the disk is full."""
        if self.lost:
            return
        self.lost = True
        drop(super().file)
        if self.steady or self.stderr:
            return
        if not isinstance(problem, BrokenPipeError):
            ERR.print(Text(f"The output cannot be written ({problem})."), soft_wrap=True)
        raise SystemExit(1)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


# Where there is no terminal its width is unknown: wide enough that no figure of a table is cut.
OUT = SafeConsole(width=None if sys.stdout is not None and sys.stdout.isatty() else 160)
ERR = SafeConsole(stderr=True)


LONGEST_SENTENCE = 2000
"""A message that quotes foreign text is cut there [ours]."""


@contextmanager
def steady(console: SafeConsole = OUT) -> Iterator[None]:
    """A block of work that goes on when nobody sees it any more: what it finds is kept
    elsewhere.
    """
    before, console.steady = console.steady, True
    try:
        yield
    finally:
        console.steady = before


def say(text: str, style: str = "") -> None:
    OUT.print(Text(text, style), soft_wrap=True)


def end(sentence: str, code: int) -> NoReturn:
    """The last sentence of a command that did not come to its end."""
    ERR.print(Text(shortened(sentence, LONGEST_SENTENCE)), soft_wrap=True)
    raise SystemExit(code)
