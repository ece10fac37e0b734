"""`promptray serve`: models at an OpenAI-compatible address."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.console import say, steady


def serve(
    file: Annotated[
        Path | None, typer.Argument(help="Models and gateway, such as cluster/deploy/models.yaml.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model to offer; may be repeated. Default: both built-in ones."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: 127.0.0.1, this machine only."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8000.")] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Another host name under which clients may reach the models, such as a proxy's; "
                "may be repeated."
            )
        ),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Variable that holds the key which clients must send.")
    ] = None,
    api_keys_file: Annotated[
        Path | None, typer.Option(help="File with an API key on each line.")
    ] = None,
) -> None:
    """Serve models at an OpenAI-compatible address, until Ctrl-C.

    Options override FILE.
    """
    from cluster.ray_runtime.ports import expect_free
    from cluster.ray_runtime.session import ray_session
    from cluster.ray_runtime.start import cluster_address
    from serving.application import application, read
    from serving.gateway.deployment import open_gateway

    given = {
        "host": host,
        "port": port,
        "allowed_hosts": allowed_host or None,
        "api_key_env": api_key_env,
        "api_keys_file": api_keys_file,
    }
    settings = read(
        file, model or (), {name: value for name, value in given.items() if value is not None}
    )
    assert settings.gateway is not None  # read sees to it
    if cluster_address() is None:
        expect_free(settings.gateway.host, settings.gateway.port)
    with steady(), ray_session():
        base_url = open_gateway(application(settings), settings.gateway)
        labels = ", ".join(one.label for one in settings.parsed)
        say(f"Serving {labels} at {base_url} (Ctrl-C stops)")
        while True:
            time.sleep(1)  # no longer: a signal that comes just before it is seen behind it
