"""A wait for an endpoint is told when it begins and when it is over."""

import asyncio

import pytest

from cluster.experiment import outage_notices
from cluster.experiment.outage_notices import reporting_outages

LOOK_EVERY_S = 0.02


class Waiting:
    pause = ""


async def test_each_wait_is_told_once_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_notices, "LOOK_EVERY_S", LOOK_EVERY_S)
    said: list[str] = []
    one, other = Waiting(), Waiting()
    async with reporting_outages(said.append, one, other, object()):
        await asyncio.sleep(2 * LOOK_EVERY_S)
        assert said == []
        one.pause = other.pause = "it is down."
        await asyncio.sleep(10 * LOOK_EVERY_S)
        one.pause = other.pause = ""
        await asyncio.sleep(10 * LOOK_EVERY_S)
    assert said == ["Paused, as it is down.", "The endpoint answers again, resumed."]
