"""A model that answers in pieces from a script, and tells what became of it: it can fail, raise, or
wait until it is cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from optimizer.types import Completion, Failed, Outcome, Request
from serving.contracts.streaming import Piece
from serving.settings import Served

FOREVER = TimeoutError("wait")
"""In a script: nothing more comes, until the work is cancelled."""
Script = Callable[[Request], Sequence[Piece | Exception]]


class ScriptedStream:
    """Its whole answer is the last item of its script."""

    name = "scripted:stream"

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked: list[Request] = []
        self.waiting = asyncio.Event()
        """It has come to FOREVER."""
        self.cancelled = asyncio.Event()
        """It was cancelled there."""

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return [[piece async for piece in self.stream(request)][-1] for request in requests]  # type: ignore[misc]

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        self.asked.append(request)
        for piece in self._script(request):
            await asyncio.sleep(0)
            if piece is FOREVER:
                await self._wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield piece

    async def _wait(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def words(request: Request) -> Sequence[Piece | Exception]:
    """Says its last message back word by word; `fail`, `break` and `wait` in it happen where they
    stand.
    """
    pieces: list[Piece | Exception] = []
    fates: dict[str, Piece | Exception] = {
        "fail": Failed("infrastructure", "It went down."),
        "refuse": Failed("refused", "Too long."),
        "break": RuntimeError("a secret of the program"),
        "wait": FOREVER,
    }
    text = request.messages[-1].content
    for word in text.split():
        pieces.append(fates.get(word, f"{word} "))
        if word in ("fail", "refuse"):
            return pieces
    return [*pieces, Completion(f"{text} ", "cut" in text, 4, len(pieces), cached_tokens=2)]


class WaitingSettings(Served):
    """Hosts a model that says `words` in a replica; where it is cancelled while it waits, it leaves
    the file `mark`.
    """

    mark: Path

    @property
    def label(self) -> str:
        return "scripted:waiting"

    @property
    def identity(self) -> str:
        return "scripted:waiting@1"


def load(settings: WaitingSettings) -> "WaitingEngine":
    """Return the engine in a replica: what `bind` is handed."""
    return WaitingEngine(settings.mark)


class WaitingEngine(ScriptedStream):
    def __init__(self, mark: Path) -> None:
        super().__init__(words)
        self._mark = mark

    async def check_health(self) -> None:
        """Always well."""

    def close(self) -> None:
        """Nothing to give back."""

    async def _wait(self) -> None:
        try:
            await super()._wait()
        finally:
            self._mark.touch()
