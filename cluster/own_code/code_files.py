"""A user's own code that settings list under `code`: read, bounded and made importable.

It is importable in every process that runs a part of the experiment. What is listed, and nothing
beside it, is copied into a folder of its own, which comes last on the path of imports. So what a
process can import does not depend on where its files lie: a trial on another machine, or in a
submitted job, sees what `promptray run` sees, and no file of the user's hides a module of ours or
of Python.
"""

import atexit
import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from optimizer.errors import SettingsError, StorageError
from optimizer.paths import expanded

MOST_BYTES = 10 * 2**20
"""Limit of all files together: they are sent to every trial [ours]."""
MOST_FILES = 1_000
"""Limit of the number of files [ours]."""
_LEFT_OUT = ("__pycache__",)
_SECRETS = {".pem", ".key", ".p12", ".pfx", ".keystore"}
_REMEDY = "take it out of what the settings list under code"


@dataclass(frozen=True)
class CodeFiles:
    """The listed files with their content, as they are sent. Small and picklable."""

    files: tuple[tuple[str, bytes], ...] = ()
    """Path below the folder of imports, and content."""
    place: str = field(default="", compare=False)
    """The folder from which the process that sends them imports them; "" before it does."""

    @property
    def digest(self) -> str:
        """Return a digest, equal for equal files wherever they lie; "" without files."""
        digest = hashlib.sha256()
        for name, content in self.files:
            digest.update(f"{name}\n{len(content)}\n".encode("utf-8", "surrogateescape"))
            digest.update(content)
        return f"sha256:{digest.hexdigest()[:16]}" if self.files else ""

    @property
    def top(self) -> frozenset[str]:
        """Return the names that can be imported."""
        return frozenset(name.partition("/")[0].removesuffix(".py") for name, _ in self.files)

    @property
    def is_here(self) -> bool:
        """Return whether the place is on this machine, this user's, and holds just these files."""
        folder = Path(self.place)
        try:
            if not self.place or folder.stat().st_uid != os.getuid():
                return False
            return all((folder / name).read_bytes() == content for name, content in self.files)
        except OSError:
            return False

    def write(self, folder: Path) -> None:
        """Write all files below a folder."""
        for name, content in self.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def whole_places(listed: Iterable[str], folder: Path | None) -> tuple[str, ...]:
    """Return the listed files and folders with absolute paths.

    Args:
        listed: Paths as a settings file has them.
        folder: The folder of that file; None where it is no folder of this machine.

    Raises:
        SettingsError: A path is relative, and there is no folder for it.
    """
    found = []
    for text in listed:
        path = expanded(text)
        if not path.is_absolute():
            if folder is None:
                raise SettingsError(
                    f"The code {text} must have a whole path, as these settings do not lie in a "
                    "folder of this machine."
                )
            path = folder / path
        found.append(str(path.resolve()))
    return tuple(dict.fromkeys(found))


def read_code(places: Sequence[str]) -> CodeFiles:
    """Return the content of absolute paths: a file under its name, a folder as a package.

    Hidden files and what Python has compiled are left out.

    Raises:
        SettingsError: A path is missing, cannot be imported under its name, shares that with
            another, holds a link or a secret, or all of them are too large.
        StorageError: A file cannot be read.
    """
    files: dict[str, bytes] = {}
    left = MOST_BYTES
    for place in places:
        path = Path(place)
        _expect_importable(path, {name.partition("/")[0] for name in files})
        for file in _files(path):
            if len(files) >= MOST_FILES:
                raise SettingsError(
                    f"The code {path} has more than {MOST_FILES:,} files; list only what the "
                    "experiment imports."
                )
            content = _content(file, left)
            left -= len(content)
            files[str(file.relative_to(path.parent))] = content
    return CodeFiles(tuple(sorted(files.items())))


def _expect_importable(path: Path, taken: set[str]) -> None:
    if not path.exists():
        raise SettingsError(f"There is no {path}, which the settings list under code.")
    name = path.name.removesuffix(".py") if path.is_file() else path.name
    if (path.is_dir() or path.suffix == ".py") and not name.isidentifier():
        raise SettingsError(
            f"The code {path} cannot be imported under its name; name it with letters, digits and "
            "underscores alone."
        )
    if name in {one.removesuffix(".py") for one in taken}:
        raise SettingsError(f"The settings list two things called {name} under code; rename one.")


def _files(path: Path) -> Iterator[Path]:
    """Yield the files at a place, in order."""
    if path.is_file():
        yield path
        return
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or file.name in _LEFT_OUT or file.suffix == ".pyc":
            continue
        if file.is_symlink():
            raise SettingsError(f"{file} is a link, which does not travel; {_REMEDY}.")
        if file.is_dir() or file.is_file():
            yield from _files(file)


def _content(file: Path, most: int) -> bytes:
    if file.suffix.lower() in _SECRETS or file.stem in ("id_rsa", "id_ed25519", "credentials"):
        raise SettingsError(
            f"{file} looks like a secret, which everybody who sees the cluster could read; "
            f"{_REMEDY}."
        )
    try:
        with file.open("rb") as opened:
            content = opened.read(most + 1)
    except OSError as problem:
        raise StorageError(
            f"The code {file} cannot be read: {problem.strerror or problem}."
        ) from problem
    if len(content) > most:
        raise SettingsError(
            f"The code that the settings list is more than {MOST_BYTES // 2**20} MiB; list only "
            "what the experiment imports."
        )
    return content


@dataclass
class _InUse:
    """The user code that this process can import."""

    code: CodeFiles = CodeFiles()
    folder: str = ""


_in_use = _InUse()
_made: set[str] = set()
"""The folders that this process has written, and will delete."""


def code_in_use() -> CodeFiles:
    """Return the code that this process can import."""
    return _in_use.code


def is_from_code(module: str) -> bool:
    """Return whether a module is one of the code in use."""
    return module.partition(".")[0] in _in_use.code.top


def use_code(code: CodeFiles) -> None:
    """Make code importable in this process, in place of other code that was before.

    Raises:
        SettingsError: Another module has a name of it, so that it would never be imported.
        StorageError: The files cannot be written.
    """
    if code == _in_use.code:
        return
    _forget()
    if not code.files:
        return
    # A worker on the driver's machine takes the driver's copy: a worker may be killed, and would
    # leave one of its own behind.
    folder = code.place if code.is_here else _written(code)
    sys.path.append(folder)
    importlib.invalidate_caches()
    _in_use.code, _in_use.folder = replace(code, place=folder), folder
    for name in sorted(code.top):
        _expect_ours(name, folder)


def _written(code: CodeFiles) -> str:
    """Return a new folder with these files, which is deleted when this process ends."""
    try:
        folder = tempfile.mkdtemp(prefix="promptray-code-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        code.write(Path(folder))
    except OSError as problem:
        raise StorageError(
            f"The code cannot be written below {tempfile.gettempdir()}: "
            f"{problem.strerror or problem}."
        ) from problem
    _made.add(folder)
    return folder


def _expect_ours(name: str, folder: str) -> None:
    if not name.isidentifier():
        return  # a file of data
    spec = importlib.util.find_spec(name)
    places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
    if not any(place.startswith(folder) for place in places):
        _forget()
        raise SettingsError(
            f"The code {name} has the name of another module, which would be imported in its "
            "place; rename it."
        )


def _forget() -> None:
    """Undo `use_code`."""
    if not _in_use.folder:
        return
    sys.path.remove(_in_use.folder)
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
        if any(str(place).startswith(_in_use.folder) for place in places):
            del sys.modules[name]
    if _in_use.folder in _made:
        shutil.rmtree(_in_use.folder, ignore_errors=True)
    _in_use.code, _in_use.folder = CodeFiles(), ""
