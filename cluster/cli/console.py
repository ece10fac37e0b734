"""Where the commands print to, and how they end."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.text import Text

# Where there is no terminal its width is unknown: wide enough that no figure of a table is cut.
OUT = Console(width=None if sys.stdout.isatty() else 160)
ERR = Console(stderr=True)


def say(text: str, style: str = "") -> None:
    OUT.print(Text(text, style), soft_wrap=True)


def end(sentence: str, code: int) -> NoReturn:
    """The last sentence of a command that did not come to its end."""
    ERR.print(Text(sentence), soft_wrap=True)
    raise SystemExit(code)
