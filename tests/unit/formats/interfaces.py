"""What others hold of the command line and of the service's HTTP, as plain tables: `python -m
tests.unit.formats.interfaces` writes tests/fixtures/interfaces/ anew, which makes what was added
since a promise too. Nothing is taken out by it: do that by hand.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from typer.main import get_command

from cluster.cli import app
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.http.openapi import openapi_document
from cluster.service.show import shown_app
from serving.storage import open_folder

FOLDER = Path(__file__).parents[2] / "fixtures" / "interfaces"
COMMANDS_FILE, ROUTES_FILE, FIELDS_FILE = (
    FOLDER / "commands.json",
    FOLDER / "routes.json",
    FOLDER / "fields.json",
)
Table = dict[str, dict[str, Any]]


def commands() -> Table:
    """Command -> its options and arguments -> what they take."""
    return dict(_commands(get_command(app), "promptray"))


def _commands(command: Any, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    taken = {}
    for given in command.params:
        words = (
            [*given.opts, *given.secondary_opts]
            if given.param_type_name == "option"
            else [str(given.name).upper()]
        )
        kind = "flag" if getattr(given, "is_flag", False) else "value"
        repeated = getattr(given, "multiple", False) or given.nargs == -1
        taken |= dict.fromkeys(words, f"{kind}, repeated" if repeated else kind)
    yield name, dict(sorted(taken.items()))
    for part, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(inner, f"{name} {part}")


def document(storage: Path) -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi_document(shown_app(ArchiveBackend([]), open_folder(storage)))


def routes(described: Mapping[str, Any]) -> Table:
    """METHOD PATH -> its parameters, and by status what it answers with."""
    found = {}
    for path, way in described["paths"].items():
        for method, operation in way.items():
            taken = {
                f"{one['in']} {one['name']}": _kind(one.get("schema", {}))
                for one in operation.get("parameters", ())
            }
            answers = {
                f"answer {status}": _content(answer)
                for status, answer in operation["responses"].items()
            }
            body = (
                {"body": _content(operation["requestBody"])} if "requestBody" in operation else {}
            )
            found[f"{method.upper()} {path}"] = dict(sorted((taken | answers | body).items()))
    return dict(sorted(found.items()))


def fields(described: Mapping[str, Any]) -> Table:
    """Schema -> field -> what it holds."""
    schemas = described["components"]["schemas"]
    return {
        name: {field: _kind(kind) for field, kind in sorted(schema.get("properties", {}).items())}
        for name, schema in sorted(schemas.items())
    }


def _content(told: Mapping[str, Any]) -> str:
    return ", ".join(
        sorted(
            f"{kind} {_kind(one.get('schema', {}))}".strip()
            for kind, one in told.get("content", {}).items()
        )
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """In short: the type, or the name of the schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if several := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " | ".join(sorted(map(_kind, several)))
    if "enum" in schema or "const" in schema:
        return " | ".join(sorted(repr(one) for one in schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items', {}))}]"
    extra = schema.get("additionalProperties")
    return f"{{{_kind(extra)}}}" if isinstance(extra, dict) else str(schema.get("type", "any"))


def missing(promised: Table, now: Table) -> list[str]:
    """Return what of the promises is gone or means something else.

    More than was promised is no fault: another name, or another kind of value that a request takes.
    """
    gone = [f"{name} is gone" for name in promised if name not in now]
    return gone + [
        f"{name}: {field} was {kind!r} and is {now[name].get(field, 'gone')!r}"
        for name, of in promised.items()
        if name in now
        for field, kind in of.items()
        if not _keeps(name, kind, now[name].get(field))
    ]


def _keeps(name: str, promised: str, now: str | None) -> bool:
    if now is None or not name.endswith("Request"):
        return now == promised
    return set(promised.split(" | ")) <= set(now.split(" | "))


def read(file: Path) -> Table:
    found: Table = json.loads(file.read_text("utf-8"))
    return found


def write(storage: Path) -> None:
    described = document(storage)
    for file, table in (
        (COMMANDS_FILE, commands()),
        (ROUTES_FILE, routes(described)),
        (FIELDS_FILE, fields(described)),
    ):
        kept = read(file) if file.exists() else {}
        union = {name: table.get(name, {}) | kept.get(name, {}) for name in sorted({*table, *kept})}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            json.dumps(union, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8"
        )


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        write(Path(place))
