"""A model to host in tests: scripted, picklable, and importable in a replica.

It dies, fails or waits on command.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimizer.errors import AccessError, SettingsError
from optimizer.types import Completion, Outcome, Request
from serving.contracts.streaming import Piece
from serving.engines import Engine, EngineDied
from serving.models import load_engine
from serving.settings import Hostable, Routing, Scaling, Served

ONE = Scaling.fixed(1)


@dataclass(frozen=True)
class ScriptedSettings:
    """What it is told to do, it does in its replicas."""

    label: str = "scripted:echo"
    identity: str = "scripted:echo@1"
    scaling: Scaling = ONE
    routing: Routing = "balanced"
    actor_options: dict[str, Any] = field(default_factory=lambda: {"num_cpus": 0})
    die_once: str = ""
    """A file: the first call kills its replica, and leaves the file as a mark."""
    engine_dies_once: str = ""
    """A file: the first call finds its engine dead, for good, and leaves the number of its process
    in the file.
    """
    gate: str = ""
    """A folder: every call leaves a file `busy-PID-...` in it, and waits until there is a file
    `open`.
    """
    misset: str = ""
    """A file: it cannot be built, says that its settings are the cause, and adds a line to the file
    each time.
    """


def load(settings: Hostable) -> Engine:
    """Return the engine of a scripted model, or of one of promptray's own beside it: what `host` is
    handed.
    """
    if isinstance(settings, Served):
        return load_engine(settings)
    assert isinstance(settings, ScriptedSettings)
    if settings.misset:
        with Path(settings.misset).open("a") as attempts:
            attempts.write("tried\n")
        raise SettingsError("The scripted engine has no setting 'x'.")
    return ScriptedEngine(settings)


class ScriptedEngine:
    """Hears each text, and says how many came together.

    Some texts are commands: see `_answer` and `_obey`.
    """

    def __init__(self, settings: ScriptedSettings) -> None:
        self._settings = settings
        self._dead = False

    @property
    def name(self) -> str:
        return self._settings.identity

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self._die_on_command()
        texts = [request.messages[-1].content for request in requests]
        _obey(texts)
        await self._wait_at_the_gate()
        return [Completion(self._answer(text, len(texts))) for text in texts]

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        (outcome,) = await self.complete([request])
        assert isinstance(outcome, Completion)
        for word in outcome.text.split(" "):
            yield word if outcome.text.startswith(word) else f" {word}"
            if request.messages[-1].content == "die in the middle":
                self._dead = True
                raise EngineDied("The scripted engine died in the middle.")
        yield outcome

    async def check_health(self) -> None:
        if self._dead:
            raise EngineDied("The scripted engine is dead.")

    def close(self) -> None:
        self._dead = True

    def _die_on_command(self) -> None:
        first, second = Path(self._settings.die_once), Path(self._settings.engine_dies_once)
        if self._settings.die_once and not first.exists():
            first.touch()
            os._exit(1)
        if self._settings.engine_dies_once and not second.exists():
            second.write_text(str(os.getpid()))
            self._dead = True
        if self._dead:
            raise EngineDied("The scripted engine is dead.")

    async def _wait_at_the_gate(self) -> None:
        if self._settings.gate:
            (Path(self._settings.gate) / f"busy-{os.getpid()}-{uuid.uuid4().hex}").touch()
            while not (Path(self._settings.gate) / "open").exists():
                await asyncio.sleep(0.01)

    def _answer(self, text: str, together: int) -> str:
        return {"who": str(id(self)), "process": str(os.getpid())}.get(
            text, f"{together} heard {text}"
        )


def _obey(texts: Sequence[str]) -> None:
    if "no access" in texts:
        raise AccessError("There is no access.")
    if "break" in texts:
        raise RuntimeError("the engine broke")
