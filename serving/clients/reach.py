"""One cheap call, to learn whether a model answers at all before a run relies on it."""

from typing import Protocol, runtime_checkable

from optimizer.errors import EndpointError
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Message, Outcome, Request, Sampling

PROBE = Request((Message("user", "Say yes."),), Sampling(max_tokens=16))


@runtime_checkable
class Impatient(Protocol):
    """A model that would wait for an endpoint that is down, and can also do without."""

    async def at_once(self, request: Request) -> Outcome:
        """Its outcome; what is down is a Failed or an EndpointError."""


async def reach(model: LanguageModel) -> None:
    """Returns if the model answers. Raises AccessError or EndpointError if it does not; a refusal is an answer."""
    outcome = await model.at_once(PROBE) if isinstance(model, Impatient) else (await model.complete([PROBE]))[0]
    if isinstance(outcome, Failed) and outcome.kind == "infrastructure":
        raise EndpointError(outcome.reason)
