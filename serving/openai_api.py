"""The door: an OpenAI-compatible HTTP interface over any language models. Knows the protocol, and no engine.

No `from __future__ import annotations` here: FastAPI reads the annotations of the functions inside `build_app`.
"""

import hmac
import ipaddress
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.request import urlopen

from fastapi import FastAPI, Header
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from optimizer.errors import EndpointError, PromptrayError, SettingsError
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Failed, Message, Request, Sampling
from serving.settings import ModelSettings, OpenAISettings

MAX_CHARACTERS = 1_000_000
"""Text of one request; ours, far above what any model of this size reads."""
_IGNORABLE = {"top_p": (None, 1), "n": (None, 1), "stop": (None, []), "tools": (None, []), "logprobs": (None, False)}
"""Fields that we do not carry out: given with any other value they would change the answer, so they are refused."""


class Part(BaseModel):
    type: Literal["text"]
    text: str


class Turn(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    def message(self) -> Message:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, text)


class ChatBody(BaseModel):
    """What a chat completion is asked with."""

    model_config = ConfigDict(extra="allow")
    model: str
    messages: list[Turn] = Field(min_length=1, max_length=1000)
    temperature: float = Field(0.0, ge=0, le=2, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1, le=100_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000)
    seed: int | None = None
    stream: bool | None = False

    def request(self) -> Request:
        limit = self.max_completion_tokens or self.max_tokens or Sampling().max_tokens
        return Request(
            tuple(turn.message() for turn in self.messages), Sampling(self.temperature, limit), sample=self.seed or 0)

    def objection(self) -> str:
        """Why it cannot be carried out, or ""."""
        extra = self.model_extra or {}
        if self.stream:
            return "Streaming is not offered: leave stream out, or set it to false."
        refused = sorted(key for key, accepted in _IGNORABLE.items() if key in extra and extra[key] not in accepted)
        if refused:
            return f"This model does not support {', '.join(refused)}: leave it out."
        return "The messages are too long." if sum(len(turn.message().content) for turn in self.messages) > MAX_CHARACTERS else ""


class _Refused(Exception):
    """An HTTP answer on its way out."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(status, code, reason)
        self.status, self.code, self.reason = status, code, reason


def build_app(models: Mapping[str, LanguageModel], api_key: str | None = None) -> FastAPI:
    """The application over models by public name. With `api_key`, all but /healthz wants it as a bearer token."""
    app = FastAPI(title="promptray", docs_url=None, redoc_url=None, openapi_url=None)

    def admit(authorization: str | None) -> None:
        given = (authorization or "").removeprefix("Bearer ")
        if api_key is not None and not hmac.compare_digest(given.encode(), api_key.encode()):
            raise _Refused(401, "invalid_api_key", "The API key is missing or wrong.")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def list_models(authorization: Annotated[str | None, Header()] = None) -> dict[str, Any]:
        admit(authorization)
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": "promptray"} for name in models]
        return {"object": "list", "data": entries}

    @app.post("/v1/chat/completions")
    async def chat(body: ChatBody, authorization: Annotated[str | None, Header()] = None) -> dict[str, Any]:
        admit(authorization)
        if objection := body.objection():
            raise _Refused(400, "unsupported_value", objection)
        if body.model not in models:
            raise _Refused(404, "model_not_found", f"There is no model {body.model!r}; known are: {', '.join(sorted(models))}.")
        return _reply(body.model, await _ask(models[body.model], body.request()))

    @app.exception_handler(_Refused)
    async def refused(_: HttpRequest, problem: _Refused) -> JSONResponse:
        return _error(problem.status, problem.code, problem.reason)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: HttpRequest, problem: RequestValidationError) -> JSONResponse:
        fault = problem.errors()[0]
        return _error(400, "invalid_value", f"{'.'.join(str(key) for key in fault['loc'][1:]) or 'The body'}: {fault['msg']}.")

    return app


async def _ask(model: LanguageModel, request: Request) -> Completion:
    try:
        outcome = (await model.complete([request]))[0]
    except PromptrayError as problem:
        raise _Refused(503 if isinstance(problem, EndpointError) else 500, "model_failed", str(problem)) from problem
    if isinstance(outcome, Failed):
        refused = outcome.kind == "refused"
        raise _Refused(400 if refused else 503, "request_refused" if refused else "model_failed", outcome.reason)
    return outcome


def _reply(model: str, answer: Completion) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time()), "model": model,
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": answer.text}, "logprobs": None,
            "finish_reason": "length" if answer.truncated else "stop"}],
        "usage": {
            "prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens},
        "metadata": dict(answer.metadata),
    }


def _error(status: int, code: str, reason: str) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": reason, "type": kind, "param": None, "code": code}}, status)


def serve_models(
    models: Sequence[ModelSettings], *, host: str = "127.0.0.1", port: int = 8000, api_key_env: str | None = None
) -> str:
    """Hosts models on this Ray cluster and opens the door to them; returns its base URL. Does not block.

    `api_key_env` names the environment variable that holds the key to ask for; replicas read it themselves, so that the key is in
    no file and no log. Ray's own token does not protect this port. Raises SettingsError where the door would be open to other
    machines without a key, or where the variable is empty; EndpointError where the port is not to be had.
    """
    from ray import serve

    from serving import deployment

    if api_key_env is None and not _only_this_machine(host):
        raise SettingsError(f"Other machines could use the models on {host}: name the variable that holds an API key.")
    _key(api_key_env)
    deployment.host([model for model in models if not isinstance(model, OpenAISettings)], http_port=port, http_host=host)
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0}, "max_ongoing_requests": 256, "graceful_shutdown_timeout_s": 5}
    ingress = serve.ingress(_builder(tuple(models), api_key_env))(_Ingress)
    door = serve.deployment(name="door", **options)(ingress)
    serve.run(door.bind(), name="door", route_prefix="/", logging_config=deployment.QUIET)
    _expect_open(host, port)
    return f"http://{host}:{port}/v1"


def _builder(models: tuple[ModelSettings, ...], api_key_env: str | None) -> Callable[[], FastAPI]:
    """Builds the application in the replica, from settings. Serve wants a plain function here, not a callable object."""

    def build() -> FastAPI:
        return build_app({model.label: model.build() for model in models}, _key(api_key_env))

    return build


class _Ingress:
    """The replica that FastAPI's application runs in."""


def _expect_open(host: str, port: int) -> None:
    """Raises EndpointError where the door does not answer: a Serve that runs already keeps its own HTTP settings without a word."""
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    try:
        with urlopen(f"http://{near}:{port}/healthz", timeout=10) as reply:
            answer = reply.read(100)
    except OSError as problem:
        raise EndpointError(
            f"The door does not answer on {host}:{port} ({problem}); if Serve runs on this cluster with another port, shut it down "
            "first, or choose that port.") from problem
    if b"ok" not in answer:
        raise EndpointError(f"Something else answers on {host}:{port}: choose another port.")


def _key(variable: str | None) -> str | None:
    """The key; None where no key is wanted. Never none by mistake."""
    if variable is None:
        return None
    if key := os.environ.get(variable, "").strip():
        return key
    raise SettingsError(f"The environment variable {variable} holds no API key.")


def _only_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
