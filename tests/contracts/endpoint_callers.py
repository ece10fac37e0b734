"""A process of a Ray cluster that calls an endpoint as a trial's worker does."""

import asyncio
import os
from typing import Any

from optimizer.types import Completion
from serving.clients.openai_model import OpenAIModel
from serving.models import connect
from serving.settings import OpenAISettings
from tests.contracts.client_contract import ask


class CallingProcess:
    """For `ray.remote`: a process of its own, with a client that its settings build."""

    def pid(self) -> int:
        return os.getpid()

    def call(self, settings: dict[str, Any], name: str, calls: int) -> tuple[int, str]:
        """(calls that were answered, the kind of gate they went through)"""
        return asyncio.run(_call(OpenAISettings(**settings), name, calls))


async def _call(settings: OpenAISettings, name: str, calls: int) -> tuple[int, str]:
    model = connect(settings)
    assert isinstance(model, OpenAIModel)
    outcomes = await model.complete([ask(f"{name} {number}") for number in range(calls)])
    await model.aclose()
    return sum(isinstance(outcome, Completion) for outcome in outcomes), type(
        model._limiter.gate
    ).__name__
