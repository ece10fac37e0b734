"""`promptray show`: finished results folders in the page, without a Ray cluster."""

from typing import Annotated

import typer

from cluster.cli.console import say, steady


def show(
    folders: Annotated[list[str], typer.Argument(help="Results folders, paths or URIs.")],
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Another host name under which clients may reach the page, such as a proxy's; "
                "may be repeated."
            )
        ),
    ] = None,
    play: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help=(
                "Let jobs be started that run nothing: each replays the first folder, with this "
                "time between events."
            ),
        ),
    ] = None,
) -> None:
    """Show finished results in the browser, on this machine only, until Ctrl-C."""
    from cluster.ray_runtime.ports import expect_free
    from cluster.service.show import HOST
    from cluster.service.show import show as serve_page

    expect_free(HOST, port)
    with steady():
        say(f"Showing at http://{HOST}:{port}/ (Ctrl-C stops)")
        serve_page(folders, port, play, allowed_host or ())
