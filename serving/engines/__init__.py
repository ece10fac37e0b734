"""What runs inside a replica. An engine is a language model that is loaded, and that can be closed.

The table builds engines by name; each is imported only when it is built.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from optimizer.types import Outcome, Request


class Engine(Protocol):
    """The contract is that of LanguageModel, and `close`."""

    @property
    def name(self) -> str: ...

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]: ...

    def close(self) -> None:
        """Gives memory and threads back. Closing twice is allowed."""


def _ctranslate2(name: str, folder: Path, threads: int) -> Engine:
    from serving.engines.ctranslate2 import CTranslate2Engine

    return CTranslate2Engine(name, folder, threads)


def _rulebook(prior_bias: float, seed: int) -> Engine:
    from serving.engines.rulebook import RulebookEngine

    return RulebookEngine(prior_bias, seed)


ENGINES: dict[str, Callable[..., Engine]] = {"ctranslate2": _ctranslate2, "rulebook": _rulebook}
