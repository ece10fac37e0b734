"""Entries for ledgers under test: an answer, and a request that is its own."""

from optimizer.types import Completion, Message, Request, Sampling
from serving.ledger import Paid, key_of

MODEL = "scripted:paid@1"


def asked(
    text: str = "q",
    sample: int = 0,
    temperature: float = 0.0,
    max_tokens: int = 512,
    raw: bool = False,
) -> Request:
    return Request((Message("user", text),), Sampling(temperature, max_tokens), sample, raw=raw)


def key(number: int) -> bytes:
    """Of question `number`."""
    return key_of(MODEL, asked(str(number)))


def entry(number: int, answer: Completion | str, model: str = MODEL) -> dict[bytes, Paid]:
    """Question `number` of a model with its answer, under its true key."""
    request = asked(str(number))
    return {
        key_of(model, request): Paid(
            Completion(answer) if isinstance(answer, str) else answer, model, request
        )
    }
