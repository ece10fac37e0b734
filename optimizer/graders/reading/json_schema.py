"""JSON schemas that come from anywhere: checked by `jsonschema`, in bounded time, and offline.

Patterns are matched by RE2, references stay inside the schema, and a schema that grows too large
when its references are followed is refused.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from optimizer.errors import SettingsError, shortened
from optimizer.graders.reading.patterns import compiled, why_unusable

_MOST_NODES = 5_000
"""Maximum size of a schema with its references followed [ours]."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check that a schema is one, and can be used here.

    Raises:
        SettingsError: It is not, or cannot.
    """
    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as problem:
        said = shortened(str(problem.message))
        raise SettingsError(f"The JSON schema cannot be used: {said}.") from None
    except RecursionError:
        raise SettingsError("The JSON schema cannot be used: it is nested too deeply.") from None
    _Sizes(schema).check()
    for node in _nodes(schema):
        if "patternProperties" in node:
            raise SettingsError(
                "The JSON schema cannot be used: patternProperties is not known here; name the "
                "properties."
            )
        pattern = node.get("pattern")
        if isinstance(pattern, str) and (fault := why_unusable(pattern)):
            raise SettingsError(f"The pattern {shortened(pattern)!r} {fault}.")


def faults(schema: Mapping[str, Any], value: Any, most: int = 5) -> list[str]:
    """Return what is wrong with a value by a schema that was checked, the first few faults."""
    validator = _validator_class(jsonschema.validators.validator_for(schema))(
        schema, registry=Registry()
    )
    found: list[str] = []
    for problem in validator.iter_errors(value):
        if len(found) == most:
            break
        found.append(f"{problem.json_path}: {shortened(problem.message, 150)}")
    return found


@cache
def _validator_class(base: Any) -> Any:
    return jsonschema.validators.extend(base, {"pattern": _matches})


def _matches(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and compiled(pattern).search(instance) is None:
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            yield one
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)


class _Sizes:
    """Counts the parts of a schema with its references followed."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._size_by_reference: dict[str, int | None] = {}
        self._resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))

    def check(self) -> None:
        if self._size(self._schema) > _MOST_NODES:
            raise SettingsError(
                f"The JSON schema cannot be used: it has more than {_MOST_NODES:,} parts when its "
                "references are followed."
            )

    def _size(self, node: Any) -> int:
        if isinstance(node, list):
            return sum(map(self._size, node))
        if not isinstance(node, Mapping):
            return 0
        size = 1 + sum(map(self._size, node.values()))
        for name in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(node.get(name), str):
                size += self._size_behind(node[name])
        return min(size, 2 * _MOST_NODES)

    def _size_behind(self, reference: str) -> int:
        if not reference.startswith("#"):
            raise SettingsError(
                f"The JSON schema cannot be used: {shortened(reference)} is not in it; put it "
                "under $defs."
            )
        if reference in self._size_by_reference:
            size = self._size_by_reference[reference]
            if size is None:
                raise SettingsError(
                    f"The JSON schema cannot be used: {shortened(reference)} refers to itself."
                )
            return size
        self._size_by_reference[reference] = None
        try:
            found = self._resolver.lookup(reference).contents
        except Unresolvable:
            raise SettingsError(
                f"The JSON schema cannot be used: there is no {shortened(reference)} in it."
            ) from None
        size = self._size_by_reference[reference] = self._size(found)
        return size
