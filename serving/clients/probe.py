"""One cheap call that checks whether a model answers, before a run relies on it.

It has the form of the run's requests.
"""

from dataclasses import replace
from typing import Protocol, runtime_checkable

from optimizer.errors import EndpointError
from optimizer.protocols import LanguageModel
from optimizer.types import Failed, Message, Outcome, Request, Sampling

PROBE = Request((Message("user", "Say yes."),), Sampling(max_tokens=16))
_HARMLESS = {
    "system": "Answer in one word.",
    "user": PROBE.messages[0].content,
    "assistant": "Yes.",
}


@runtime_checkable
class AnswersAtOnce(Protocol):
    """A model that would wait for an endpoint that is down, and can also do without."""

    async def at_once(self, request: Request) -> Outcome:
        """Return its outcome; what is down is a Failed or an EndpointError.

        Raises:
            AccessError: If no request of this form would be answered, for the key.
            EndpointError: If none would be answered for another reason; the message has a fix.
        """


def question_like(request: Request) -> Request:
    """Return a harmless request with all the fields of this one.

    These are its roles, its sampling, and a sample number if it has one. It is the same for
    requests that differ in their words alone, however many demonstrations they show: so it names
    their form.
    """
    first, answered = (
        request.messages[0].role,
        any(message.role == "assistant" for message in request.messages),
    )
    roles = (
        (["system"] if first == "system" else [])
        + (["user", "assistant"] if answered else [])
        + ["user"]
    )
    messages = tuple(Message(role, _HARMLESS[role]) for role in roles)  # type: ignore[arg-type]
    return replace(request, messages=messages, sample=min(request.sample, 1), purpose="learn")


async def reach(model: LanguageModel, question: Request = PROBE) -> None:
    """Return if the model answers; a refusal is an answer.

    Raises:
        AccessError: If the key is refused.
        EndpointError: If the model does not answer.
    """
    outcome = (
        await model.at_once(question)
        if isinstance(model, AnswersAtOnce)
        else (await model.complete([question]))[0]
    )
    # A refusal is an answer: the model is there.
    if isinstance(outcome, Failed) and outcome.kind == "infrastructure":
        raise EndpointError(outcome.reason)
