"""The service on Ray Serve: the models' gateway, the API and the page in one application of as many
replicas as the gateway has.

No state is in a replica: the backend that each builds says what stands in the service's storage
folder. No `from __future__ import annotations` here: Serve reads the annotations of `build`.
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
    """The application.

    Replicas read the keys themselves, from their environment, files and the storage: no key is in
    it.
    """
    from cluster.service.http.access_policy import LISTENERS

    settings = _with_whole_place(settings)
    hosted = tuple(bind(model, load_engine) for model in settings.served)
    application: serve.Application = deployed(_Replica, settings.gateway, LISTENERS).bind(
        settings, hosted
    )
    return application


def open_service(settings: ServiceSettings) -> str:
    """Runs the service on the cluster that this process is connected to, and returns its address.

    Does not block.

    Raises SettingsError where it would be open to other machines without a key, or to nobody;
    StorageError where its keys are damaged or gone; EndpointError where the port is not to be had.
    """
    from cluster.service.access.api_keys import expect_way_in

    settings = _with_whole_place(settings)
    expect_way_in(settings)
    return listen(bind_service(settings), settings.gateway).removesuffix("/v1")


def build(args: dict[str, Any]) -> serve.Application:
    """What `serve run` and KubeRay's RayService import: the service from the content of a settings
    file. Raises SettingsError.
    """
    return bind_service(validated(ServiceSettings, args))


def _with_whole_place(settings: ServiceSettings) -> ServiceSettings:
    """A replica stands in another folder than whoever wrote a short path."""
    return settings.model_copy(update={"storage": open_folder(settings.storage).absolute().place})


class _Replica:
    """What the application runs in.

    The handles of the models are not used: clients find their deployments.
    """

    def __init__(self, settings: ServiceSettings, handles: tuple[object, ...]) -> None:
        self._settings = settings

    async def __serve_build_asgi_app__(self) -> FastAPI:
        """Serve asks for the application by this name, when the replica starts."""
        from cluster.service.access.api_keys import Authenticator
        from cluster.service.access.spenders import GatewayMetrics
        from cluster.service.backends.ray import RayBackend
        from cluster.service.http.app import service_app
        from cluster.service.http.deps import Service
        from cluster.service.stores.audit_log import Audit
        from cluster.service.stores.check_pool import CheckPool
        from cluster.service.stores.data_files import FileStore
        from cluster.service.stores.threads import ReadingThreads

        settings = self._settings
        storage = open_folder(settings.storage)
        host = await real_host()
        keys = Authenticator(
            storage,
            settings.gateway.keys(),
            public=not only_this_machine(host),
            quota=settings.quota,
            no_keys=settings.no_keys,
        )
        if (
            settings.no_keys or not keys.made
        ):  # where they are gone it starts, and lets nobody in: they may come back
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
        return service_app(service, keys, models, GatewayMetrics(backend.spend, settings.parsed))
