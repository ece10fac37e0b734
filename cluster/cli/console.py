"""The consoles of the commands, and how commands end."""

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cluster.cli.streams import drop, safe_stream
from optimizer.errors import escaped, shortened


class _Nowhere(io.StringIO):
    """Takes everything, and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


_NOWHERE = _Nowhere()


class SafeConsole(Console):
    """A console that prints control characters in text from data or models as escapes.

    Its own colours stay. Where nobody reads its output any more, it ends the command, unless the
    command is `steady`.
    """

    steady = False
    """Whether the command continues when its output is lost."""
    lost = False
    """Whether nothing is written any more."""

    @property
    def file(self) -> IO[str]:
        """Return the stream, whose errors go to `_lose`."""
        return safe_stream(_NOWHERE if self.lost else super().file, self._lose)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def _lose(self, problem: Exception) -> None:
        """Handle a lost output: a closed pipe, a terminal that hung up, or a full disk."""
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
        """Yield the segments with control characters escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


# Where there is no terminal its width is unknown: wide enough that no figure of a table is cut.
OUT = SafeConsole(width=None if sys.stdout is not None and sys.stdout.isatty() else 160)
ERR = SafeConsole(stderr=True)


LONGEST_SENTENCE = 2000
"""Characters after which a message that quotes foreign text is cut [ours]."""


@contextmanager
def steady(console: SafeConsole = OUT) -> Iterator[None]:
    """Run a block that continues when nobody reads its output: its results are stored elsewhere."""
    before, console.steady = console.steady, True
    try:
        yield
    finally:
        console.steady = before


def say(text: str, style: str = "") -> None:
    """Print a line of plain text, without markup."""
    OUT.print(Text(text, style), soft_wrap=True)


def end(sentence: str, code: int, more: Iterable[str] = ()) -> NoReturn:
    """Print the last sentence of a command that failed, and exit; `more`: a list below it."""
    ERR.print(Text(shortened(sentence, LONGEST_SENTENCE)), soft_wrap=True)
    for one in more:
        ERR.print(Text(f"- {shortened(one, LONGEST_SENTENCE)}"), soft_wrap=True)
    raise SystemExit(code)
