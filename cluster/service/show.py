"""Serves finished results folders on the service's page, without a cluster.

    python -m cluster.service.show FOLDER...

With --play, jobs can be started too: each replays the first folder, so that the page can be seen at
work. It serves this machine only. Knows no Ray.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from cluster.service.access.api_keys import Authenticator
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.core.backend import JobBackend
from cluster.service.core.settings import ServiceSettings
from cluster.service.http.app import service_app
from cluster.service.http.deps import Service
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.check_pool import CheckPool
from cluster.service.stores.data_files import FileStore
from optimizer.errors import PromptrayError
from serving.gateway.settings import GatewaySettings
from serving.settings.validation import validated
from serving.storage import Folder, open_folder

HOST = "127.0.0.1"
PORT = 8000


def shown_app(
    backend: JobBackend,
    storage: Folder,
    settings: ServiceSettings | None = None,
    public: bool = False,
) -> FastAPI:
    """Return the application over a backend.

    Args:
        backend: The jobs.
        storage: The folder of uploads, of the audit log, and of API keys if it has any.
        settings: The service's settings; None: the defaults.
        public: Whether other machines can reach it.
    """
    settings = settings or ServiceSettings()
    keys = Authenticator(storage, settings.gateway.keys(), public, settings.quota)
    return service_app(
        Service(
            backend,
            FileStore(storage, settings.work),
            Audit(storage),
            settings,
            keys.quota,
            checks=CheckPool(settings.work),
        ),
        keys,
    )


def show(
    folders: Sequence[str],
    port: int = PORT,
    play_s: float | None = None,
    allowed_hosts: Sequence[str] = (),
) -> None:
    """Serve the folders until Ctrl-C.

    Args:
        folders: Paths or URIs of results folders.
        port: The port on this machine.
        play_s: Seconds between the events of a replayed job; None: no job can be started.
        allowed_hosts: Further names that the service may be reached by.

    Raises:
        StorageError: A folder is no results folder.
        DataError: No folder can be read.
        SettingsError: No folder has settings that can be read, or a host is not valid.
    """
    from cluster.service.backends.replay import ReplayBackend

    settings = ServiceSettings(
        gateway=validated(GatewaySettings, {"allowed_hosts": tuple(allowed_hosts)})
    )
    backend = ArchiveBackend(folders) if play_s is None else ReplayBackend(folders, play_s)
    for damage in backend.damaged:
        print(damage, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="promptray-show-") as storage:
        app = shown_app(backend, open_folder(storage), settings)
        uvicorn.run(
            app,
            host=HOST,
            port=port,
            log_level="warning",
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.service.show", description="Show finished results in the page."
    )
    parser.add_argument("folders", nargs="+", help="Results folders, paths or URIs.")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument(
        "--play",
        type=float,
        metavar="SECONDS",
        help="Allow starting jobs, and replay them with so many seconds between events.",
    )
    given = parser.parse_args()
    print(
        f"Showing {len(given.folders)} results at http://{HOST}:{given.port}/ (Ctrl-C stops)",
        flush=True,
    )
    try:
        show(given.folders, given.port, given.play)
    except PromptrayError as problem:
        parser.exit(2, f"{problem}\n")


if __name__ == "__main__":
    main()
