"""One cheap call, to learn whether a model answers at all before a run relies on it."""

from optimizer.errors import EndpointError
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Message, Request, Sampling

PROBE = Request((Message("user", "Say yes."),), Sampling(max_tokens=16))


async def reach(model: LanguageModel) -> None:
    """Returns if the model answers. Raises AccessError or EndpointError if it does not; a refusal is an answer."""
    outcome = (await model.complete([PROBE]))[0]
    if isinstance(outcome, Failed) and outcome.kind == "infrastructure":
        raise EndpointError(outcome.reason)
