"""Planted things that nothing from outside may touch: files, a folder, a FIFO, a variable, a
module, a listener, a log's place.

While a `Watch` is open, it notes what this process opens, looks at, imports, resolves, connects to
and reads from its environment, as far as that is one of them.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
MARK = "canary"
WAITS_S = 60.0
SECRET = "xK9-feathers-and-song"
"""Stands in every planted file and in the variable: an answer that has it has told what it may not.
"""
SCRIPT = f'rules:\n- replies: ["{SECRET}"]\n'
_EVENTS = frozenset(
    {
        "open",
        "import",
        "os.listdir",
        "os.scandir",
        "os.mkdir",
        "os.rename",
        "os.remove",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "subprocess.Popen",
        "os.system",
        "exec",
        "compile",
    }
)


@dataclass(frozen=True)
class Canaries:
    """What was planted under a folder."""

    folder: Path
    port: int
    calls: list[str]
    """Connections that came to the listener."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def script(self) -> Path:
        """A valid script of replies."""
        return self.folder / "canary.yaml"

    @property
    def secret(self) -> Path:
        """A file that is no YAML and no JSON."""
        return self.folder / "canary.secret"

    @property
    def fifo(self) -> Path:
        """Whoever opens it waits for ever."""
        return self.folder / "canary.fifo"

    @property
    def log(self) -> Path:
        """It is not there, and must not be afterwards."""
        return self.folder / "canary.log"

    @property
    def variable(self) -> str:
        return "CANARY_KEY"

    def hostile(self) -> list[Any]:
        """A value of every kind that a file of settings may hold, and a request may not."""
        models = [
            f"openai:x@{self.url}",
            f"scripted:{self.script}",
            f"scripted:{self.secret}",
            f"vllm:{self.folder}",
            "vllm:canary/model",
            "canary_module:Model",
            {"kind": "openai", "model": "x", "base_url": self.url, "api_key_env": self.variable},
            {
                "kind": "openai",
                "model": "x",
                "base_url": self.url,
                "api_key_file": str(self.secret),
            },
            {"kind": "scripted", "script": str(self.script), "log": str(self.log)},
        ]
        texts = [
            self.url,
            "http://canary.invalid/x",
            str(self.secret),
            f"file://{self.script}",
            str(self.log),
            f"../../../../../../..{self.secret}",
            self.variable,
            f"${{{self.variable}}}",
            "canary_module",
            "canary_module:Name",
            "canary_module.Name",
        ]
        return [*models, *texts, f"scripted:{self.fifo}", str(self.fifo)]

    def taken(self) -> list[str]:
        """What came to the listener since this was asked last."""
        calls = [
            f"call{' with a key' if SECRET in call else ''}: {call[:40]}" for call in self.calls
        ]
        self.calls.clear()
        return calls

    async def released(self, work: Awaitable[T]) -> T:
        """What `work` gives.

        Where it waits for the FIFO, that is ended, and the work is a failure of the test.
        """
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([task], timeout=WAITS_S)
        if not done:
            with suppress(OSError):  # nobody has opened it: it waits for something else
                os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))
            raise AssertionError("waits for ever, as for a FIFO")
        return await task


@dataclass
class Watch:
    """What was touched, in words."""

    touched: list[str] = field(default_factory=list)

    def taken(self) -> list[str]:
        """What was touched since this was asked last."""
        touched = list(self.touched)
        self.touched.clear()
        return touched


_watch: Watch | None = None
_hooked = False


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if _watch is None or event not in _EVENTS:
        return
    said = str(args[0] if event in ("open", "import", "exec", "compile") else args)
    if (
        MARK in said.casefold()
        and "canaries" not in said
        and "canary_" not in said.replace("canary_module", "").casefold()
    ):
        _watch.touched.append(f"{event}: {said[:200]}")


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Notes what is touched until the end of the block."""
    global _watch, _hooked
    if not _hooked:
        sys.addaudithook(_heard)  # for good: it is silent while no watch is open
        _hooked = True
    watch = Watch()
    stat, lookup = os.stat, os._Environ.__getitem__

    def looked_at(path: Any, *args: Any, **how: Any) -> os.stat_result:
        if (
            MARK in os.fsdecode(path).casefold()
            if isinstance(path, str | bytes | os.PathLike)
            else False
        ):
            watch.touched.append(f"stat: {path}")
        return stat(path, *args, **how)

    def read(environment: Any, name: Any) -> Any:
        if MARK in str(name).casefold():
            watch.touched.append(f"variable: {name}")
        return lookup(environment, name)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", looked_at)
        patch.setattr(os._Environ, "__getitem__", read)
        _watch = watch
        try:
            yield watch
        finally:
            _watch = None


@contextmanager
def planted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    """Plants them, and takes the listener away at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    calls: list[str] = []
    canaries = Canaries(folder, listener.getsockname()[1], calls)
    folder.mkdir()
    canaries.script.write_text(SCRIPT)
    canaries.secret.write_text(f"{SECRET}: [\n")
    os.mkfifo(canaries.fifo)
    (folder / "canary_module.py").write_text("Name = Model = object\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv(canaries.variable, SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def listen() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            calls.append(caller.recv(4000).decode("latin-1"))
            caller.close()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield canaries
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
