"""`promptray keys`: who may use an optimizer service.

It works on the service's storage folder; running replicas see a change in seconds.
"""

from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cluster.cli.console import OUT, say

keys = typer.Typer(
    name="keys", no_args_is_help=True, help="The keys of an optimizer service: add, list, remove."
)
Storage = Annotated[
    str, typer.Option("--storage", help="The service's storage folder, a path or a URI.")
]
STORAGE = "service"
_FIRST = (
    "This is the service's first key: within seconds it requires one from everybody, also on this "
    "machine, where everybody was its admin before. Enter the key in the page, or set "
    "PROMPTRAY_API_KEY to it."
)
_NO_ADMIN = (
    "Its owner is no admin: for the jobs that were started without a key, and everybody else's, "
    "create another with `promptray keys add NAME --admin --storage {storage}`."
)


@keys.command()
def add(
    owner: Annotated[str, typer.Argument(help="Owner: letters, digits and . _ @ + - only.")],
    admin: Annotated[
        bool, typer.Option("--admin", help="May see and stop everybody's jobs.")
    ] = False,
    jobs_at_once: Annotated[int | None, typer.Option(min=1)] = None,
    calls_a_day: Annotated[
        int | None, typer.Option(min=1, help="Paid calls of models by UTC day.")
    ] = None,
    money_a_day: Annotated[float | None, typer.Option(min=0)] = None,
    storage: Storage = STORAGE,
) -> None:
    """Create a key, which is shown once and stored nowhere."""
    from pydantic import ValidationError

    from cluster.service.access.key_store import add_key, inspect_keys
    from cluster.service.core.settings import QuotaSettings
    from cluster.service.stores.audit_log import Audit
    from optimizer.errors import SettingsError
    from serving.settings.validation import sentence
    from serving.storage import open_folder

    given = {"jobs_at_once": jobs_at_once, "calls_a_day": calls_a_day, "money_a_day": money_a_day}
    folder = open_folder(storage)
    first = not inspect_keys(folder).made
    try:
        quota = (
            QuotaSettings.model_validate(given)
            if any(value is not None for value in given.values())
            else None
        )
        stored, key = add_key(folder, owner, admin, quota)
    except ValidationError as problem:
        raise SettingsError(sentence(problem)) from None
    if first:
        say(_FIRST + ("" if admin else f" {_NO_ADMIN.format(storage=storage)}"))
    say(
        f"Key {stored.id} of {owner}{', an admin' if admin else ''}; save it now, it is not shown "
        "again:"
    )
    say(key, "bold")
    Audit(folder).write("command line", "key.add", f"{stored.id} of {owner}")


@keys.command(name="list")
def list_keys(storage: Storage = STORAGE) -> None:
    """List the keys, without their secret part."""
    from datetime import UTC, datetime

    from cluster.service.access.key_store import read_keys
    from serving.storage import open_folder

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("id", "owner", "admin", "since", "quota"):
        table.add_column(column, no_wrap=True)
    for key in read_keys(open_folder(storage)):
        limits = key.quota.model_dump(exclude_none=True) if key.quota else {}
        quota = ", ".join(f"{name} {value:g}" for name, value in limits.items())
        since = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d")
        table.add_row(*map(Text, (key.id, key.owner, "yes" if key.admin else "", since, quota)))
    OUT.print(table)


@keys.command()
def remove(
    id: Annotated[str, typer.Argument(help="As `promptray keys list` shows it.")],
    storage: Storage = STORAGE,
) -> None:
    """Revoke a key: it opens nothing from then on."""
    from cluster.service.access.key_store import read_keys, remove_key
    from cluster.service.stores.audit_log import Audit
    from serving.storage import open_folder

    folder = open_folder(storage)
    gone = remove_key(folder, id)
    Audit(folder).write("command line", "key.remove", f"{gone.id} of {gone.owner}")
    say(f"Key {gone.id} of {gone.owner} is revoked.")
    if not read_keys(folder):
        say(
            "It was the last one: the service admits nobody until you create a key (promptray keys "
            f"add OWNER --storage {storage})."
        )
