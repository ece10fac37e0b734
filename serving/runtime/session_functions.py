"""Functions of a Python session, such as a notebook's grader, under names that settings can hold.

A function that a session defines has no file from which a trial's worker could import it. So the
functions of a run stand in a module of memory, `promptray_session`, and settings name them as
`promptray_session:NAME`. The process that starts a run makes that module; a trial's worker makes
the same one of the functions themselves, which Ray has carried there as it carries any function of
a session. Nothing of them is stored: a later process cannot run these settings, unless it gives the
functions again.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

from optimizer.errors import SettingsError

MODULE = "promptray_session"
Functions = Mapping[str, Callable[..., Any]]


def use_functions(functions: Functions) -> None:
    """Make functions importable in this process, in place of those before."""
    sys.modules.pop(MODULE, None)
    if not functions:
        return
    module = ModuleType(MODULE, "Functions of the session that has started this run.")
    for name, function in functions.items():
        setattr(module, name, function)
    sys.modules[MODULE] = module


def functions_in_use() -> dict[str, Callable[..., Any]]:
    """Return the functions that this process was given, by name."""
    module = sys.modules.get(MODULE)
    if module is None:
        return {}
    return {name: found for name, found in vars(module).items() if not name.startswith("__")}


def named_function(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the name of a function, and the reference that settings name it by.

    Raises:
        SettingsError: It is a class, or cannot be called.
    """
    if isinstance(function, type) or not callable(function):
        raise SettingsError(f"{function!r} is no function that can grade an answer.")
    given = getattr(function, "__name__", "") or type(function).__name__
    name = given if given.isidentifier() else "grader"  # a lambda
    return name, f"{MODULE}:{name}"


@contextmanager
def explained() -> Iterator[None]:
    """Run a block that reads settings, and say what a function of another session is.

    Raises:
        SettingsError: The settings name a function that this process was not given.
    """
    try:
        yield
    except SettingsError as problem:
        if MODULE not in str(problem) or functions_in_use():
            raise
        raise SettingsError(
            "The grader is a function of the Python session that has begun this run: continue it "
            "there, with promptray.optimize or promptray.evaluate, the same arguments and the same "
            "out. A function in a file, listed under code in the settings, can be run from "
            "everywhere."
        ) from problem


def revision_of_functions() -> str:
    """Return a digest of the functions in use: of their source, defaults and enclosed values.

    What they call elsewhere is no part of it.
    """
    digest = hashlib.sha256()
    for name, function in sorted(functions_in_use().items()):
        digest.update(f"{name}\n{_text_of(function)}\n".encode("utf-8", "backslashreplace"))
    return f"sha256:{digest.hexdigest()[:16]}"


def _text_of(function: Callable[..., Any]) -> str:
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = "" if code is None else f"{code.co_code.hex()} {code.co_names} {code.co_consts}"
    enclosed = (
        [cell.cell_contents for cell in function.__closure__ or ()]
        + list(function.__defaults__ or ())
        if isinstance(function, FunctionType)
        else []
    )
    return text + " ".join(map(_plain, enclosed))


def _plain(value: object) -> str:
    """Return a value's text where that is the same in every process, else its type's name."""
    return (
        repr(value)
        if isinstance(value, str | int | float | bool | tuple | None)
        else type(value).__name__
    )
