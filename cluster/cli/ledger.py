"""`promptray ledger`: show, verify, export, prune and compact a ledger."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cluster.cli.console import OUT, say

Folder = Annotated[
    str, typer.Argument(help="A results folder, or its ledger folder: a path or a URI.")
]
UNSOUND = 1
"""Exit code of `verify` and `export` where something is wrong."""


class _ShowByDefault(TyperGroup):
    """Makes `promptray ledger FOLDER` the same as `promptray ledger show FOLDER`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name, `show` where they name none."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


ledger = typer.Typer(
    name="ledger",
    cls=_ShowByDefault,
    no_args_is_help=True,
    help="The answers that a results folder has paid for: show (the default), verify, export, "
    "prune, compact.",
)


@ledger.command()
def show(folder: Folder) -> None:
    """Show answers, tokens and hits by model, and money where the settings give prices."""
    from cluster.ledger_admin.accounting import account
    from cluster.ledger_admin.table import ledger_table

    found = account(folder)
    OUT.print(ledger_table(found))
    _print_faults(found.summary.faults)


@ledger.command()
def verify(folder: Folder) -> None:
    """Read every segment to its end, check its checksums, and hash every request again.

    Exit code 1 if something is wrong.
    """
    from cluster.ledger_admin.accounting import ledger_folder
    from cluster.text.formatting import plural
    from serving.ledger.inspection import verify as verified

    found = verified(ledger_folder(folder))
    _print_faults(found.faults)
    say(
        f"{plural(found.entries, 'answer')} in {plural(found.segments, 'segment')} read to the end."
    )
    if found.unchecked:
        say(
            f"{found.unchecked:,} of an older version have no request to check their key with.",
            "dim",
        )
    if found.unsummed:
        say(
            f"{found.unsummed:,} of an older version have no checksum: whether their answers have "
            "changed is not checked.",
            "dim",
        )
    for name in found.copies:
        say(
            f"{name} is a copy of a damaged segment; restore the segment from a backup, or "
            "delete the copy.",
            "dim",
        )
    if found.faults:
        raise typer.Exit(UNSOUND)
    say("OK, no errors found.", "green")


@ledger.command()
def export(
    folder: Folder,
    file: Annotated[str, typer.Argument(help="FILE.parquet or FILE.jsonl, a path or a URI.")],
) -> None:
    """Write one row for each answer to a file.

    The columns are model, purpose, messages, sampling, sample, text, truncated, tokens, time. Exit
    code 1 if not all could be read.
    """
    from cluster.ledger_admin.accounting import ledger_folder
    from cluster.text.formatting import plural
    from serving.ledger.export import export as exported

    faults: list[str] = []
    say(
        f"{plural(exported(ledger_folder(folder), file, faults.append), 'answer')} written to "
        f"{file}."
    )
    _print_faults(faults)
    if faults:
        raise typer.Exit(UNSOUND)


@ledger.command()
def prune(
    folder: Folder,
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Recorded longer ago than this.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this model, as `show` names it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete answers for good; a run that needs them pays again.

    With both options, only what matches both is deleted.
    """
    from cluster.ledger_admin.accounting import chosen, count_without, ledger_folder, take_out

    place = ledger_folder(folder)
    keep = chosen(place, older_than, model)
    gone, there, faults = count_without(place, keep)
    _print_faults(faults)
    if not gone:
        say(f"None of the {there:,} cached answers matches.")
        return
    if not yes:
        typer.confirm(f"Delete {gone:,} of {there:,} answers from {place} for good?", abort=True)
    _print_renamed(take_out(place, keep))
    say(f"{gone:,} of {there:,} answers are deleted from {place}.")


@ledger.command()
def compact(folder: Folder) -> None:
    """Merge small segments, and repair torn and damaged ones.

    What can be read of a damaged segment is written again; its old bytes are renamed. A run merges
    by itself when there are too many segments.
    """
    from cluster.ledger_admin.accounting import compact as compacted
    from cluster.ledger_admin.accounting import ledger_folder
    from cluster.ledger_admin.table import format_size
    from cluster.text.formatting import plural

    place = ledger_folder(folder)
    before, after, damaged = compacted(place)
    _print_renamed(damaged)
    say(
        f"{place}: {plural(before.segments, 'segment')} of {format_size(before.size_bytes)} are "
        f"now {plural(after.segments, 'segment')} of {format_size(after.size_bytes)}, with "
        f"{plural(after.entries, 'answer')}."
    )


def _print_faults(faults: Iterable[str]) -> None:
    for fault in faults:
        say(fault, "red")


def _print_renamed(damaged: Iterable[str]) -> None:
    from serving.ledger.damage import COPY_ENDING

    for name in damaged:
        say(
            f"{name} is damaged: all its bytes are copied to {name}{COPY_ENDING}, which nothing "
            "reads.",
            "red",
        )
