"""One way from a name to an object: an entry of a table, `package.module:Name`, or an entry point.

Looking a name up never imports anything: a `Registry` is a mapping of its table and of what was
imported before. `import_name` alone imports, so code that handles names of strangers looks up and
nothing else. Who may call it is held by tests/unit/house/test_nothing_is_executed.py.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import iscoroutinefunction, signature
from typing import Any, Generic, TypeVar

from optimizer.errors import PromptrayError, SettingsError, shortened, unknown_name

T = TypeVar("T")
_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<attribute>[A-Za-z_]\w*)")


class Unfit(ValueError):
    """An object does not keep the contract of its kind; the text says what is missing."""


@dataclass(frozen=True)
class Installed(Generic[T]):
    """An entry point of an installed distribution."""

    name: str
    value: str
    """Where it points to, as `package.module:Name`."""
    distribution: str
    """Name and version, such as `my-strategies 1.2`."""
    component: T | None
    """None where it cannot be used."""
    fault: str = ""
    """One sentence on why it cannot be used; "" where it can."""


@dataclass(frozen=True)
class _Imported(Generic[T]):
    component: T
    module: str


class Registry(Mapping[str, T]):
    """The components of one kind by name: those of a table, and those that were imported.

    Attributes:
        noun: Name of the kind in messages, such as `strategy`.
        table: The components that come with promptray.
        group: The group of entry points; "" for a kind that is not open to others.
    """

    def __init__(
        self,
        noun: str,
        table: Mapping[str, T],
        group: str = "",
        fit: Callable[[str, object], T] | None = None,
    ) -> None:
        """Take the table as it is.

        Args:
            noun: See above.
            table: See above.
            group: See above.
            fit: Turns a name and the object found for it into a component, or raises Unfit. None
                closes the registry: nothing but its table can be named.
        """
        self.noun = noun
        self.table = table
        self.group = group
        self._fit = fit
        self._imported: dict[str, _Imported[T]] = {}

    def __getitem__(self, name: str) -> T:
        return self.table[name] if name in self.table else self._imported[name].component

    def __iter__(self) -> Iterator[str]:
        yield from self.table
        yield from (name for name in self._imported if name not in self.table)

    def __len__(self) -> int:
        return len(set(self.table) | set(self._imported))

    def module_of(self, name: str) -> str:
        """Return the module that an imported component was taken from; "" for one of the table."""
        return self._imported[name].module if name not in self.table else ""

    def is_elsewhere(self, name: str) -> bool:
        """Return whether a name is a reference or an entry point. Imports nothing."""
        if name in self.table:
            return False
        return is_reference(name) or any(point.name == name for point in self._points())

    def import_name(self, name: str, called: str = "") -> T:
        """Return the component under a name, imported where it is not in the table.

        From then on it is found under that name, and under `called` where that is given.

        Raises:
            SettingsError: Nothing has that name, it cannot be imported, or it does not keep the
                contract of its kind.
        """
        if called and called in self.table:
            raise SettingsError(
                f"The name {called!r} is that of a {self.noun} of promptray's own; choose another."
            )
        if name in self.table:
            return self.table[name]
        found = self._found(name)
        for known_as in filter(None, (name, called)):
            self._imported[known_as] = found
        return found.component

    def installed(self) -> tuple[Installed[T], ...]:
        """Return all entry points of the group, imported; the fault of one spoils no other."""
        points = self._points()
        return tuple(self._tried(point, points) for point in points)

    def _found(self, name: str) -> _Imported[T]:
        reference = _REFERENCE.fullmatch(name)
        if reference and self._fit:
            module, attribute = reference["module"], reference["attribute"]
            return self._imported_as(name, module, lambda: _attribute(module, attribute))
        points = self._points()
        named = [point for point in points if point.name == name]
        if not named:
            raise unknown_name(self.noun, name, {*self, *(point.name for point in points)})
        return self._of_point(named[0], named)

    def _of_point(self, point: EntryPoint, points: Sequence[EntryPoint]) -> _Imported[T]:
        sharing = [one for one in points if one.name == point.name]
        if len({one.value for one in sharing}) > 1:
            offering = " and ".join(sorted(map(distribution_of, sharing)))
            values = " or ".join(sorted({one.value for one in sharing}))
            raise SettingsError(
                f"The {self.noun} {point.name!r} is offered by {offering}: uninstall one, or name "
                f"it as {values}."
            )
        return self._imported_as(point.name, point.module, point.load)

    def _imported_as(self, name: str, module: str, load: Callable[[], object]) -> _Imported[T]:
        assert self._fit is not None, "a closed registry imports nothing"
        cause: BaseException
        try:
            return _Imported(self._fit(name, load()), module)
        except PromptrayError:
            raise
        except Unfit as problem:
            cause, why = problem, str(problem)
        except ModuleNotFoundError as problem:
            cause, why = (
                problem,
                (
                    f"there is no module {problem.name}; list its file under code in the settings, "
                    "or install its package"
                ),
            )
        # A module may raise anything when it is imported, and leave the process as a script does.
        except (Exception, SystemExit) as problem:  # noqa: BLE001
            said = shortened(f"{type(problem).__name__}: {problem}")
            cause, why = problem, f"importing {module} fails ({said})"
        raise SettingsError(f"The {self.noun} {name!r} cannot be used: {why}.") from cause

    def _tried(self, point: EntryPoint, points: Sequence[EntryPoint]) -> Installed[T]:
        fault, component = "", None
        if point.name in self.table:
            fault = f"The name {point.name!r} is that of a {self.noun} of promptray's own."
        else:
            try:
                component = self._of_point(point, points).component
            except PromptrayError as problem:
                fault = str(problem)
        return Installed(point.name, point.value, distribution_of(point), component, fault)

    def _points(self) -> list[EntryPoint]:
        found = entry_points(group=self.group) if self.group and self._fit else ()
        return sorted(set(found), key=lambda point: (point.name, point.value))


def is_reference(name: str) -> bool:
    """Return whether a name has the form `package.module:Name`."""
    return _REFERENCE.fullmatch(name) is not None


def short_name(name: str) -> str:
    """Return the part of a component's name that people read: `Name` of `package.module:Name`."""
    return name.rpartition(":")[2] if is_reference(name) else name


def distribution_of(point: EntryPoint) -> str:
    """Return name and version of the distribution that an entry point comes from."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def settings_class(method: str, parameters: Sequence[str], found: object) -> Any:
    """Return `found`, a frozen dataclass of settings that has a method.

    Raises:
        Unfit: It is something else.
    """
    if not isinstance(found, type) or not is_dataclass(found):
        raise Unfit("it is no dataclass of settings; write @dataclass(frozen=True) above its class")
    if not getattr(found, "__dataclass_params__").frozen:  # noqa: B009
        raise Unfit("its settings can be changed; write @dataclass(frozen=True) above its class")
    given = ", ".join(("self", *parameters))
    act = getattr(found, method, None)
    if not callable(act):
        raise Unfit(f"it has no method {method}({given})")
    try:
        signature(act).bind(None, *parameters)
    except TypeError:
        raise Unfit(f"its method {method} does not take ({given})") from None
    if method == "search" and iscoroutinefunction(act):
        raise Unfit("its method search yields no rounds; it must be an async generator")
    return found


def _attribute(module: str, name: str) -> object:
    found = import_module(module)
    try:
        return getattr(found, name)
    except AttributeError:
        raise Unfit(f"the module {module} has no {name}") from None
