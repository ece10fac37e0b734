"""The OpenAPI document at /openapi.json: every route, answer and error, and how a key is sent.

Knows the application's routes.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from cluster.service.schemas import Error
from serving.gateway.request_bodies import Body, ChatBody, CompletionBody
from serving.gateway.response_bodies import JSONBody

PATH = "/openapi.json"
ABOUT = (
    "Optimizes prompts for a target model. Shaped like OpenAI's files and fine-tuning jobs; the "
    "models of the service are at the same address. Times are Unix seconds, accuracies shares from "
    '0 to 1, null is "not measured". '
    "Lists come in pages: the next one comes with `after` = `last_id`. Every error has "
    "OpenAI's form."
)
_BODY_BY_PATH: dict[str, type[Body]] = {
    "/v1/chat/completions": ChatBody,
    "/v1/completions": CompletionBody,
}
"""Bodies that the gateway reads itself, so that the framework does not know them."""
_METHODS = ("get", "post", "delete")


class OpenApi:
    """The document of an application, made once, at the first request."""

    def __init__(self, app: FastAPI) -> None:
        """Describe this application."""
        self._app = app
        self._made: dict[str, Any] | None = None

    async def answer(self) -> Response:
        """Return the document."""
        self._made = self._made or openapi_document(self._app)
        return JSONBody(self._made)


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    from importlib.metadata import version

    made = get_openapi(
        title="promptray",
        version=version("promptray"),
        summary="The optimizer service",
        description=ABOUT,
        routes=app.routes,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for path, body in _BODY_BY_PATH.items():
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[body.__name__] = schema
        made["paths"][path]["post"]["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
            },
        }
    made["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {
        "text/plain": {"schema": {"type": "string"}}
    }
    schemas.setdefault(
        "Error", Error.model_json_schema(ref_template="#/components/schemas/{model}")
    )
    schemas |= schemas["Error"].pop("$defs", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of the service; none is required on a machine without keys.",
        }
    }
    made["security"] = [{"key": []}, {}]
    for way in made["paths"].values():
        for method in _METHODS:
            if method in way:
                _complete(way[method])
    return made


def _complete(operation: dict[str, Any]) -> None:
    """Put our errors in place of the framework's, and add Retry-After where it is sent."""
    answers = operation["responses"]
    answers.pop("422", None)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers.setdefault("default", {"description": "An error.", "content": error})
    for status in ("429", "503"):
        if status in answers:
            answers[status]["headers"] = {
                "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
            }
