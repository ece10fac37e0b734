"""The service on Ray Serve: the models' gateway, the API and the page as one application.

A replica holds no state: the backend that each builds reads the service's storage folder. No `from
__future__ import annotations` here: Serve reads the annotations of `build`.
"""

import asyncio
from typing import Any

from fastapi import FastAPI
from ray import serve

from cluster.service.core.settings import ServiceSettings
from serving.gateway.deployment import clients, deployed, listen, real_host
from serving.gateway.settings import expect_guarded, only_this_machine
from serving.hosting.deployment import bind
from serving.models import connect, load_engine
from serving.settings.validation import validated
from serving.storage import open_folder


def bind_service(settings: ServiceSettings) -> serve.Application:
    """Return the application of a service.

    Replicas read the API keys themselves, from their environment, files and the storage; the
    application contains none.
    """
    from cluster.service.http.access_policy import LISTENERS

    settings = _with_absolute_storage(settings)
    hosted = tuple(bind(model, load_engine) for model in settings.served)
    application: serve.Application = deployed(_Replica, settings.gateway, LISTENERS).bind(
        settings, hosted
    )
    return application


def open_service(settings: ServiceSettings) -> str:
    """Run the service on the cluster that this process is connected to, and return its address.

    Does not block.

    Raises:
        SettingsError: Other machines could use it without a key, or nobody could.
        StorageError: Its keys are damaged or gone.
        EndpointError: The port is not free.
    """
    from cluster.service.access.api_keys import expect_way_in

    # Here, so that a fault is reported at the start and not by a replica.
    settings.components.import_all()
    settings = _with_absolute_storage(settings)
    expect_way_in(settings)
    return listen(bind_service(settings), settings.gateway).removesuffix("/v1")


def build(args: dict[str, Any]) -> serve.Application:
    """Return the service of a settings file; `serve run` and KubeRay's RayService import this.

    Args:
        args: The content of the file.

    Raises:
        SettingsError: It is not valid.
    """
    return bind_service(validated(ServiceSettings, args))


def _with_absolute_storage(settings: ServiceSettings) -> ServiceSettings:
    """Make the storage's path absolute: a replica has another working folder."""
    return settings.model_copy(update={"storage": open_folder(settings.storage).absolute().place})


class _Replica:
    """The class that each replica runs.

    The models' handles are not used: clients find the deployments by name.
    """

    def __init__(self, settings: ServiceSettings, handles: tuple[object, ...]) -> None:
        self._settings = settings

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application; Serve calls this when the replica starts."""
        from cluster.service.access.api_keys import Authenticator
        from cluster.service.access.spenders import GatewayMeter
        from cluster.service.backends.ray import RayBackend
        from cluster.service.http.app import service_app
        from cluster.service.http.deps import Service
        from cluster.service.stores.audit_log import Audit
        from cluster.service.stores.check_pool import CheckPool
        from cluster.service.stores.data_files import FileStore
        from cluster.service.stores.threads import ReadingThreads

        settings = self._settings
        settings.components.import_all()
        storage = open_folder(settings.storage)
        host = await real_host()
        keys = Authenticator(
            storage,
            settings.gateway.keys(),
            public=not only_this_machine(host),
            quota=settings.quota,
            no_keys=settings.no_keys,
        )
        # Where keys were made and are gone, it starts and refuses everybody: they may come back.
        if settings.no_keys or not keys.made:
            expect_guarded(host, () if settings.no_keys else keys)
        work = settings.work
        threads, checks = (
            ReadingThreads(work.reads_at_once, work.reads_per_owner, deadline_s=work.read_s),
            CheckPool(work),
        )
        backend = RayBackend(settings, keys.quota, checks, threads)
        await asyncio.gather(backend.open(), checks.open())
        service = Service(
            backend,
            FileStore(storage, work),
            Audit(storage),
            settings,
            keys.quota,
            threads=threads,
            checks=checks,
        )
        models = clients(settings.parsed, settings.gateway, connect)
        return service_app(service, keys, models, GatewayMeter(backend.spend, settings.parsed))
