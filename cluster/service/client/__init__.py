"""A typed client of the optimizer service: `ServiceClient`."""

from cluster.service.client.client import ServiceClient
from cluster.service.client.responses import ServiceError

__all__ = ["ServiceClient", "ServiceError"]
