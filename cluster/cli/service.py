"""`promptray up`: the optimizer service with its models, on one address.

Loads no Ray until it runs.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.console import say, steady

if TYPE_CHECKING:
    from cluster.service.core.settings import ServiceSettings


def up(
    file: Annotated[
        Path | None,
        typer.Argument(help="Settings of a service: models, gateway, storage, running, quota."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Folder for all state, a path or a URI. Default: service.")
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
                "Another host name under which clients may reach the service, such as a proxy's; "
                "may be repeated."
            )
        ),
    ] = None,
    no_keys: Annotated[
        bool,
        typer.Option(
            "--no-keys",
            help=(
                "Require no key even if there are keys in the storage: everybody on this machine "
                "is the service's admin."
            ),
        ),
    ] = False,
    running: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Jobs that run at once. Default: 4.")
    ] = None,
) -> None:
    """Run the optimizer service, until Ctrl-C.

    Started again with the same storage, its jobs continue. Options override FILE.
    """
    import ray

    from cluster.ray_runtime.ports import expect_free
    from cluster.ray_runtime.session import ray_session
    from cluster.ray_runtime.start import cluster_address
    from cluster.service.access.api_keys import expect_way_in
    from cluster.service.application import open_service
    from cluster.service.backends.ray import ANSWERS_WITHIN_S, OPENS_WITHIN_S
    from cluster.service.jobs.controller_actor import open_controller
    from optimizer.errors import StorageError
    from serving.runtime.actors import actor_error

    gateway = {"host": host, "port": port, "allowed_hosts": allowed_host or None}
    settings = _settings(
        file, {"storage": storage, "running": running, "no_keys": no_keys or None}, gateway
    )
    expect_way_in(settings)  # before a Ray is started for nothing
    if cluster_address() is None:
        expect_free(settings.gateway.host, settings.gateway.port)
    with steady(), ray_session():
        address = open_service(settings)
        controller = open_controller(settings)
        try:
            ray.get(controller.open.remote(), timeout=OPENS_WITHIN_S)
            notes: list[str] = ray.get(controller.notes.remote(), timeout=ANSWERS_WITHIN_S)
        except ray.exceptions.GetTimeoutError:
            raise StorageError(
                f"The service has not started within {OPENS_WITHIN_S:g} s; the reason is in Ray's "
                "logs."
            ) from None
        except ray.exceptions.RayError as problem:
            raise actor_error(problem, "the service") from None
        for note in notes:
            say(note)
        say(f"The service of {settings.storage} is at {address}")
        if settings.no_keys:
            say("It requires no key: everybody on this machine is its admin.")
        say("Ctrl-C stops it; started again with the same storage, its jobs continue.")
        while True:
            time.sleep(1)  # no longer: a signal that comes just before it is seen behind it


def _settings(
    file: Path | None, given: dict[str, Any], gateway: dict[str, Any]
) -> "ServiceSettings":
    """Return the settings of the service, options overriding the file's.

    Raises:
        SettingsError: The file cannot be read, or a setting is wrong.
    """
    from cluster.service.core.settings import ServiceSettings
    from optimizer.errors import SettingsError
    from serving.settings.validation import read_mapping, validated
    from serving.storage import open_folder

    data = {} if file is None else read_mapping(file)
    # "door" is the old name of the key: errors use the word that is in the file.
    name = "door" if "door" in data else "gateway"
    own = data.get(name) or {}
    if not isinstance(own, dict):
        raise SettingsError(
            f"{file}: The setting {name} must be a mapping, such as {{port: 8000}}."
        )
    data |= {name: value for name, value in given.items() if value is not None}
    data[name] = own | {name: value for name, value in gateway.items() if value is not None}
    settings = validated(ServiceSettings, data)
    return settings.model_copy(update={"storage": open_folder(settings.storage).absolute().place})
