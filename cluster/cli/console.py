"""Where the commands print to, and how they end."""

import sys
from collections.abc import Iterable
from typing import NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from optimizer.errors import escaped, shortened


class SafeConsole(Console):
    """Prints what a terminal would interpret in text from data or models as an escape; its own colours stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


# Where there is no terminal its width is unknown: wide enough that no figure of a table is cut.
OUT = SafeConsole(width=None if sys.stdout.isatty() else 160)
ERR = SafeConsole(stderr=True)


LONGEST_SENTENCE = 2000
"""A message that quotes foreign text is cut there [ours]."""


def say(text: str, style: str = "") -> None:
    OUT.print(Text(text, style), soft_wrap=True)


def end(sentence: str, code: int) -> NoReturn:
    """The last sentence of a command that did not come to its end."""
    ERR.print(Text(shortened(sentence, LONGEST_SENTENCE)), soft_wrap=True)
    raise SystemExit(code)
