"""What a service is: which models it offers, where it keeps its state, how many jobs it runs at once, and what an owner may use."""

from typing import Annotated, Any

from pydantic import Field

from serving.application import DEFAULT_MODELS, ServingSettings
from serving.door.settings import DoorSettings
from serving.strictness import Strict


class QuotaSettings(Strict):
    """What one owner may use; null means no limit. A key's own quota stands above the service's."""

    jobs_at_once: Annotated[int, Field(ge=1)] | None = None
    """Queued and running together."""
    calls_a_day: Annotated[int, Field(ge=1)] | None = None
    """Paid calls of models, by UTC day."""
    money_a_day: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class ServiceSettings(ServingSettings):
    """The models with their door, and the service behind the same door."""

    models: list[str | dict[str, Any]] = Field(list(DEFAULT_MODELS), min_length=1)
    door: DoorSettings = DoorSettings()
    storage: Annotated[str, Field(min_length=1)] = "service"
    """The service's folder, a path or a URI of any filesystem that pyarrow knows.

        STORAGE/
          files/ID/            file.json (objects.StoredFile) and data.EXT, as it was uploaded
          optimizations/ID/    request.json, events/, and results/, an ordinary results folder
          keys.json            digests of the keys, with their owners and quotas
          audit/               who did what
    """
    running: Annotated[int, Field(ge=1, le=1024)] = 4
    """Jobs that run at once; others wait in the queue, each owner's in turn."""
    quota: QuotaSettings = QuotaSettings()
    upload_bytes: Annotated[int, Field(ge=1024, le=2**33)] = 64 * 2**20
    """A longer file is answered with 413."""
