"""`promptray` in processes forked from one that has its modules loaded: what a command does, prints
and ends with is that of a process of its own, and only the import is shared, which most commands
would spend their time on. It ends behind its last words: taking a thousand modules down is as slow
as loading them, so that is done only where it is asked for.

For commands that need no Ray, or one whose variables are given: they are read when it is imported.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]
LOADED = (
    "cluster.cli",
    "cluster.experiment.prepare",
    "cluster.results",
    "serving.clients.openai_model",
    "openai.resources.chat",
    "pandas",
    "ray",
)
"""Modules."""
ENDS_WITHIN_S = 120
OfRay = tuple[tuple[str, str], ...]
"""Variables of Ray's and their values."""


def forked(
    *arguments: str,
    said_to_it: str = "",
    to_the_end: bool = False,
    ray: Mapping[str, str] | None = None,
    **environment: str,
) -> "subprocess.CompletedProcess[str]":
    """Run the command in the project's folder, with these variables above this process's own; with
    `to_the_end` up to the
    interpreter's end, which complains of what a command has left open; with `ray`, from a process
    that has imported Ray with these of its variables, and no others."""
    of_ray = tuple(sorted((ray or {}).items()))
    sys.audit(
        "subprocess.Popen", "promptray", arguments, str(ROOT), environment
    )  # it is one, though another process starts it
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("in", "out", "err")]
        places[0].write_text(said_to_it)
        asked = {
            "arguments": arguments,
            "environment": _surroundings(of_ray) | environment,
            "streams": list(map(str, places)),
            "to_the_end": to_the_end,
        }
        try:
            code = _server(*of_ray).ask(json.dumps(asked))
        except (
            BaseException
        ):  # such as a test's time that is over: its answer would be taken for the next command's
            _server(*of_ray).end()
            _server.cache_clear()
            raise
        return subprocess.CompletedProcess(
            ["promptray", *arguments], code, *(place.read_text() for place in places[1:])
        )


class _Server:
    def __init__(self, of_ray: OfRay) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_surroundings(of_ray),
        )
        atexit.register(self._process.communicate)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        atexit.unregister(self._process.communicate)

    def ask(self, line: str) -> int:
        """The exit code."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline() or "the commands' server has ended")


@cache
def _server(*of_ray: tuple[str, str]) -> _Server:
    return _Server(of_ray)


def _surroundings(of_ray: OfRay) -> dict[str, str]:
    """Return this process's variables; where some of Ray's are given, those are all of Ray's."""
    return {
        name: value
        for name, value in os.environ.items()
        if not (of_ray and name.startswith("RAY_"))
    } | dict(of_ray)


def main() -> None:
    """Fork a child for each line that is read, which becomes the command; ends with its input."""
    for name in LOADED:
        import_module(name)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            asked = json.loads(line)
            to_the_end = asked.pop("to_the_end")
            _become(**asked)
            break
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    else:
        return
    from cluster.cli import main as promptray

    if to_the_end:
        promptray()
    else:
        _end_behind(promptray)


def _end_behind(command: Callable[[], None]) -> NoReturn:
    """As the interpreter does it, but for what it does to modules."""
    code = 0
    try:
        command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:  # shown, as the interpreter does  # noqa: BLE001
        # Shown, as the interpreter does.
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(arguments: list[str], environment: dict[str, str], streams: list[str]) -> None:
    for number, place in enumerate(streams):
        opened = os.open(place, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
        for number in range(3)
    )
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["promptray", *arguments]
    signal.alarm(ENDS_WITHIN_S)


if __name__ == "__main__":
    main()
