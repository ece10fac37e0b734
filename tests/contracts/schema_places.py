"""Every place of a JSON schema that can bear a text, and the smallest valid document with something
else in that place.

New fields are found by themselves: the walk knows the schema's language, and of the documents only
what is required in each.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Make = Callable[[Any], Any]


@dataclass(frozen=True)
class Place:
    """Where a text may stand, such as `tasks[].label`; `make` gives the whole document with a value
    there.
    """

    name: str
    make: Make
    is_key: bool = False
    """Is it the key of an open mapping? Only texts fit there."""


def places(schema: Mapping[str, Any], required: Mapping[str, Mapping[str, Any]]) -> list[Place]:
    """`required`: title of an object -> what it needs beside the place in it."""
    return list(_places(schema, schema.get("$defs", {}), required))


def _places(
    schema: Any, defs: Mapping[str, Any], required: Mapping[str, Mapping[str, Any]]
) -> Iterator[Place]:
    if schema is True or not {"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const"} & set(
        schema
    ):
        yield from _anything()
        return
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    for kind in ("anyOf", "allOf", "oneOf"):
        for one in schema.get(kind, ()):
            yield from _places(one, defs, required)
    if schema.get("type") == "string" or "enum" in schema or "const" in schema:
        yield Place("", lambda value: value)
    elif schema.get("type") == "array":
        items = [schema[key] for key in ("items",) if key in schema] + list(
            schema.get("prefixItems", ())
        )
        for place in (found for item in items for found in _places(item, defs, required)):
            yield Place(f"[]{place.name}", _in_list(place.make), place.is_key)
    elif schema.get("type") == "object":
        yield from _of_object(schema, defs, required)


def _of_object(
    schema: Any, defs: Mapping[str, Any], required: Mapping[str, Mapping[str, Any]]
) -> Iterator[Place]:
    base = required.get(schema.get("title", ""), {})
    for name, inner in schema.get("properties", {}).items():
        for place in _places(inner, defs, required):
            yield Place(f".{name}{place.name}", _in_object(base, name, place.make), place.is_key)
    if more := schema.get("additionalProperties", "properties" not in schema):
        yield Place("{key}", lambda value: {value: value}, is_key=True)
        for place in _places(more, defs, required):
            yield Place(f"{{}}{place.name}", _in_object({}, "k", place.make), place.is_key)


def _anything() -> Iterator[Place]:
    yield Place("", lambda value: value)
    yield Place("[]", lambda value: [value])
    yield Place("{}", lambda value: {"name": value})
    yield Place("{key}", lambda value: {value: value}, is_key=True)


def _in_list(make: Make) -> Make:
    return lambda value: [make(value)]


def _in_object(base: Mapping[str, Any], name: str, make: Make) -> Make:
    return lambda value: {**base, name: make(value)}
