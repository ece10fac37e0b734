"""A wait for an endpoint is told when it begins and when it is over."""

import asyncio

from cluster.experiment.outage_notices import LOOK_EVERY_S, pauses_told


class Waiting:
    pause = ""


async def test_each_wait_is_told_once_at_both_ends() -> None:
    said: list[str] = []
    one, other = Waiting(), Waiting()
    async with pauses_told(said.append, one, other, object()):
        await asyncio.sleep(1.5 * LOOK_EVERY_S)
        assert said == []
        one.pause = other.pause = "it is down."
        await asyncio.sleep(3 * LOOK_EVERY_S)
        one.pause = other.pause = ""
        await asyncio.sleep(2 * LOOK_EVERY_S)
    assert said == ["Paused, as it is down.", "The endpoint answers again, it goes on."]
