"""A service's engine room in a process of its own, with a Ray of its own: `python -m tests.service_tests.house STORAGE`.

Files the job of the tests where the storage has none, follows it, and prints a line of JSON for each of its events.
"""

import asyncio
import sys

from cluster.ray_session import ray_session
from cluster.service.objects import OptimizationRequest
from cluster.service.office import Caller
from cluster.service.ray_office import RayOffice
from cluster.service.settings import ServiceSettings
from tests.service_tests.requests import LONGER, request

ANN = Caller("ann")


async def follow(storage: str) -> None:
    office = RayOffice(ServiceSettings(storage=storage, running=2))
    job = await office.create(ANN, OptimizationRequest.model_validate(request(**LONGER)), "the one job")
    async for event in office.follow(ANN, job.id, 0):
        print(event.model_dump_json(), flush=True)


if __name__ == "__main__":
    with ray_session():
        asyncio.run(follow(sys.argv[1]))
