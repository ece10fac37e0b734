"""What runs inside a replica. An engine is a language model that is loaded, can say whether it is well, and can be closed.

The table builds engines by name; each is imported only when it is built.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from optimizer.errors import EndpointError
from optimizer.types import Outcome, Request
from serving.streaming import Piece

if TYPE_CHECKING:
    from serving.settings.script import Script


class EngineDied(EndpointError):
    """The engine will answer nothing any more. Its replica tells its callers so and ends; they ask the one that takes its place."""


class Engine(Protocol):
    """The contract is that of LanguageModel and Streams, and the two methods below. `complete` and `stream` raise EngineDied."""

    @property
    def name(self) -> str: ...

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]: ...

    def stream(self, request: Request) -> AsyncIterator[Piece]: ...

    async def check_health(self) -> None:
        """Returns soon while the engine works. Raises EngineDied where it does not, and once it is closed."""

    def close(self) -> None:
        """Gives memory and threads back. Closing twice is allowed."""


def _ctranslate2(name: str, folder: Path, threads: int) -> Engine:
    from serving.engines.ctranslate2 import CTranslate2Engine

    return CTranslate2Engine(name, folder, threads)


def _rulebook(prior_bias: float, seed: int) -> Engine:
    from serving.engines.rulebook import RulebookEngine

    return RulebookEngine(prior_bias, seed)


def _scripted(name: str, script: "Script", seed: int, log: Path | None, seconds: float) -> Engine:
    from serving.engines.scripted import ScriptedEngine

    return ScriptedEngine(name, script, seed, log, seconds)


def _vllm(name: str, arguments: Mapping[str, Any], cpu_threads: int | None, chat_template: Path | None) -> Engine:
    from serving.engines.vllm import VLLMEngine

    return VLLMEngine(name, arguments, cpu_threads, chat_template)


ENGINES: dict[str, Callable[..., Engine]] = {
    "ctranslate2": _ctranslate2, "rulebook": _rulebook, "scripted": _scripted, "vllm": _vllm}
