"""The settings of a service: its models, its storage, what it runs at once, and the quotas."""

from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, model_validator

from cluster.service.core.components import ComponentSettings
from optimizer.errors import SettingsError
from optimizer.tasks.bounds import ReadLimits
from serving.application import DEFAULT_MODELS, ServingSettings
from serving.gateway.settings import GatewaySettings
from serving.settings.validation import Strict


class QuotaSettings(Strict):
    """The quota of one owner; null means no limit. A key's own quota overrides the service's."""

    jobs_at_once: Annotated[int, Field(ge=1)] | None = None
    """Queued and running jobs together."""
    calls_a_day: Annotated[int, Field(ge=1)] | None = None
    """Paid calls of models, by UTC day."""
    money_a_day: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class WorkSettings(Strict):
    """The limits of what the service does at once, in total and for one owner.

    The numbers are those of one replica [ours]. Work above them waits or is answered with 429; what
    takes too long or too much memory is stopped.
    """

    checks_at_once: Annotated[int, Field(ge=1, le=256)] = 4
    """Checks of requests and of uploads; each runs in a process of its own."""
    checks_per_owner: Annotated[int, Field(ge=1, le=256)] = 2
    check_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    check_bytes: Annotated[int, Field(ge=64 * 2**20)] = 2 * 2**30
    """The memory of one check."""
    probes_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Probes call the models; each runs in a process of its own, which ends with it."""
    probes_per_owner: Annotated[int, Field(ge=1, le=64)] = 1
    probe_s: Annotated[float, Field(gt=0)] = 1800.0
    reads_at_once: Annotated[int, Field(ge=1, le=1024)] = 16
    """Threads that read and write files."""
    reads_per_owner: Annotated[int, Field(ge=1, le=1024)] = 4
    read_s: Annotated[float, Field(gt=0)] = 60.0
    waiting_per_owner: Annotated[int, Field(ge=0, le=10_000)] = 16
    """Checks of one owner that may wait for a process, and as many probes."""
    files_per_owner: Annotated[int, Field(ge=1)] = 200
    file_bytes_per_owner: Annotated[int, Field(ge=1024)] = 4 * 2**30
    rows_per_file: Annotated[int, Field(ge=1)] = 500_000


class RequestLimits(Strict):
    """The limits of one request for a job.

    It is counted before anything is built from it; a larger request is refused [ours].
    """

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    """Tasks x seeds x strategies, or tasks x seeds x points of the search."""
    examples: Annotated[int, Field(ge=1, le=2**40)] = 200_000
    """Examples in the splits of all tasks, counted once for each seed."""
    searched_settings: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Keys of search.space."""
    searched_values: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Values of all keys of search.space together; a range counts as two."""
    searched_models: Annotated[int, Field(ge=1, le=1_000)] = 16
    """Optimizer models of a search; each is called once before the job starts."""


class ServiceSettings(ServingSettings):
    """The models with their gateway, and the service behind the same gateway."""

    models: list[str | dict[str, Any]] = Field(list(DEFAULT_MODELS), min_length=1)
    gateway: GatewaySettings = Field(
        GatewaySettings(), validation_alias=AliasChoices("gateway", "door")
    )
    storage: Annotated[str, Field(min_length=1)] = "service"
    """The service's folder, a path or a URI of any filesystem that pyarrow knows.

        STORAGE/
          files/ID/            file.json (schemas.StoredFile) and data.EXT, as it was uploaded
          optimizations/ID/    request.json, events/, and results/, an ordinary results folder
          keys.json            digests of the keys, with their owners and quotas
          keys/                that there were keys, and which were revoked
          audit/               who did what
    """
    no_keys: bool = False
    """True: everybody on this machine is the service's admin, even if keys were made in `storage`;
    only for a loopback address. False: a key is required, once one was made.
    """
    running: Annotated[int, Field(ge=1, le=1024)] = 4
    """Jobs that run at once; others wait in the queue, each owner's in turn."""
    quota: QuotaSettings = QuotaSettings()
    limits: RequestLimits = RequestLimits()
    """The limits of one request."""
    components: ComponentSettings = ComponentSettings()
    """Components that requests may name beside promptray's own strategies, rules, scorers and
    tasks.
    """
    upload_bytes: Annotated[int, Field(ge=1024, le=2**33)] = 64 * 2**20
    """A longer file is refused with 413."""
    work: WorkSettings = WorkSettings()

    @property
    def read_limits(self) -> ReadLimits:
        """Return the limits of reading an uploaded file.

        Its texts may exceed its size, as it may be compressed.
        """
        return ReadLimits(
            file_bytes=self.upload_bytes,
            piece_bytes=self.upload_bytes,
            rows=self.work.rows_per_file,
            cell_characters=4 * 2**20,
            characters=4 * self.upload_bytes,
            values=10_000_000,
        )

    @model_validator(mode="after")
    def _keys_or_none(self) -> Self:
        if self.no_keys and (self.gateway.api_key_env or self.gateway.api_keys_file):
            raise SettingsError(
                "no_keys (--no-keys) contradicts the gateway's api_key_env and api_keys_file: take "
                "one of them out."
            )
        return self
