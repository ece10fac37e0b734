"""Requests to an OpenAI-compatible endpoint: the JSON body, and the key of a repetition."""

import hashlib
import json
from typing import Any

from optimizer.types import Request
from serving.settings import OpenAISettings


def body_of(settings: OpenAISettings, request: Request, *, stream: bool = False) -> bytes:
    """Return the request as JSON.

    An unpaired surrogate, which UTF-8 has no bytes for, goes out escaped, as JSON allows.
    """
    content = _content(settings, request) | (
        {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    )
    try:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()


def idempotency_key(identity: str, body: bytes) -> str:
    """Return a key that is equal for all attempts of one call, and for no other call.

    It reveals nothing of the content. A gateway that honours the header `Idempotency-Key` answers a
    repetition with what it has, and charges once; others ignore it.
    """
    return hashlib.sha256(identity.encode() + b"\0" + body).hexdigest()


def _content(settings: OpenAISettings, request: Request) -> dict[str, Any]:
    sampling = request.sampling
    limit = settings.max_tokens or sampling.max_tokens
    content: dict[str, Any] = {"model": settings.model}
    if request.raw:
        content |= {"prompt": request.messages[-1].content, "max_tokens": limit}
    else:
        content |= {"messages": _messages(settings, request), settings.max_tokens_field: limit}
    if settings.send_temperature:
        content["temperature"] = sampling.temperature
    # The first draw has no seed, so that it equals the request of any other client.
    if request.sample and settings.send_seed:
        content["seed"] = request.sample
    return content


def _messages(settings: OpenAISettings, request: Request) -> list[dict[str, str]]:
    """Return the messages with the instruction in the role that the model supports."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    if messages[0]["role"] != "system":
        return messages
    if settings.system_role != "user":
        return [messages[0] | {"role": settings.system_role}, *messages[1:]]
    instruction, rest = messages[0]["content"], messages[1:]
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": instruction}, *rest]
    return [{"role": "user", "content": f"{instruction}\n\n{rest[0]['content']}"}, *rest[1:]]
