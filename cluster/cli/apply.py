"""`promptray apply`: answers with an optimized prompt, of one input or of a file of them."""

import asyncio
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.apply import ApplicablePrompt, Applied, apply_once
from cluster.cli import options
from cluster.cli.console import say, steady
from cluster.config.overrides import as_model
from cluster.evaluation.data import load_inputs
from cluster.own_code.code_files import read_code, use_code
from optimizer.errors import SettingsError, StorageError
from optimizer.paths import whole

Writer = Callable[[Mapping[str, Any]], None]


def apply(
    prompt: Annotated[
        str, typer.Argument(help="A file from a results folder's best/, a path or a URI.")
    ],
    input: Annotated[
        str | None, typer.Option(help="What to answer; - reads it from standard input.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A file of inputs (.csv, .jsonl, .parquet ...), instead.")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="The column of the input in --data.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Where the answers to --data go: a .jsonl or .csv file. Default: JSON lines here."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="As for promptray run. Default: the prompt's own.")
    ] = None,
    code: options.Code = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON: the response, and the answer as the grader reads it."
        ),
    ] = False,
) -> None:
    """Answer one input, or a file of inputs, with an optimized prompt."""
    if (input is None) == (data is None):
        raise SettingsError("Give either --input TEXT or --data FILE.")
    use_code(read_code([str(whole(path)) for path in code or ()]))
    model = as_model(target) if target else None
    if data is not None:
        with steady():
            asyncio.run(_answer_all(ApplicablePrompt.read(prompt, model), data, column, out))
        return
    if out is not None or column is not None:
        raise SettingsError("--out and --column go with --data.")
    assert input is not None
    text = sys.stdin.read().strip() if input == "-" else input
    applied = asyncio.run(apply_once(prompt, text, model))
    say(_line(applied) if as_json else applied.output)


async def _answer_all(
    prompt: ApplicablePrompt, data: str, column: str | None, out: str | None
) -> None:
    examples, failed, done = load_inputs(data, column), 0, 0
    with _writer(out) as write:
        async for part in prompt.answers(examples):
            for applied in part:
                write(_row(applied))
                failed += bool(applied.error)
            done += len(part)
    if out is not None:
        say(f"{done:,} answers in {out}" + (f", {failed:,} of them missing." if failed else "."))
    if failed:
        raise typer.Exit(1)


def _row(applied: Applied) -> dict[str, Any]:
    fields = dict(applied.example.fields) or {"input": applied.example.input}
    answered = {"output": applied.output, "answer": applied.answer}
    return fields | answered | ({"error": applied.error} if applied.error else {})


def _line(applied: Applied) -> str:
    return json.dumps(_row(applied), ensure_ascii=False, default=str)


@contextmanager
def _writer(out: str | None) -> Iterator[Writer]:
    """Yield what writes a row; each is written as it comes."""
    if out is None:
        yield lambda row: say(json.dumps(row, ensure_ascii=False, default=str))
        return
    suffix = Path(out).suffix.lower()
    if suffix not in (".jsonl", ".csv"):
        raise SettingsError(f"--out {out} must be a .jsonl or a .csv file.")
    try:
        with Path(out).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            if suffix == ".jsonl":
                yield lambda row: print(
                    json.dumps(row, ensure_ascii=False, default=str), file=file, flush=True
                )
            else:
                yield _csv_writer(csv.writer(file))
    except OSError as problem:
        raise StorageError(f"{out} cannot be written: {problem.strerror or problem}.") from problem


def _csv_writer(writer: Any) -> Writer:
    names: list[str] = []

    def write(row: Mapping[str, Any]) -> None:
        if not names:
            names.extend(dict.fromkeys((*row, "error")))
            writer.writerow(names)
        writer.writerow([_cell(row.get(name, "")) for name in names])

    return write


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
