"""A model to host in tests: scripted, picklable, and importable in a replica. It dies, fails or is slow on command."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer.errors import AccessError
from optimizer.types import Completion, Outcome, Request
from serving.engines import Engine


@dataclass(frozen=True)
class ScriptedSettings:
    """`die_once`: a file; the first call kills its replica and leaves the file as a mark."""

    label: str = "scripted:echo"
    identity: str = "scripted:echo@1"
    replicas: int = 1
    die_once: str = ""
    served: bool = True

    def engine(self) -> Engine:
        return ScriptedEngine(self)


class ScriptedEngine:
    def __init__(self, settings: ScriptedSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return self._settings.identity

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        mark = Path(self._settings.die_once)
        if self._settings.die_once and not mark.exists():
            mark.touch()
            os._exit(1)
        texts = [request.messages[-1].content for request in requests]
        if "no access" in texts:
            raise AccessError("There is no access.")
        if "break" in texts:
            raise RuntimeError("the engine broke")
        await asyncio.sleep(0)
        return [Completion(str(id(self)) if text == "who" else f"{len(texts)} heard {text}") for text in texts]

    def close(self) -> None:
        """Nothing to give back."""
