"""The page's files, the headers of every answer, the limits of the gateway, and the document."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from cluster.service.access.api_keys import Authenticator
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.core.settings import ServiceSettings
from cluster.service.http.app import service_app
from cluster.service.http.deps import Service
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.data_files import FileStore
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion
from serving.gateway.settings import GatewaySettings
from serving.storage import open_folder
from tests.unit.cluster.service.http.conftest import REQUEST, Client, OpenService, Small


@pytest.fixture(scope="module")
def paged_app(small: Small, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """A service with a page and a model, in which no job can be started."""
    tmp_path = tmp_path_factory.mktemp("paged")
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>promptray</title>")
    (page / "assets" / "app-0a1b2c3d4e.js").write_text("export {}")
    (page / "assets" / "style.css").write_text("body {}")
    (page / ".hidden").write_text("x")
    (tmp_path / "secret.txt").write_text("x")
    storage = open_folder(tmp_path / "storage")
    ring = Authenticator(storage)
    service = Service(
        ArchiveBackend([small.out]),
        FileStore(storage),
        Audit(storage),
        ServiceSettings(),
        ring.quota,
        page=page,
    )
    return service_app(service, ring, {"echo": ScriptedModel(lambda _: Completion("fine"))})


@pytest.fixture
def paged(paged_app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(paged_app), base_url="http://127.0.0.1:8000"
    )


async def test_links_into_the_page_give_its_index(paged: httpx2.AsyncClient) -> None:
    for path in ("/", "/jobs", "/jobs/opt-1", "/jobs/opt-1/trials/x", "/new"):
        answer = await paged.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "text/html; charset=utf-8",
        ), path
        assert answer.headers["content-security-policy"].startswith(
            "default-src 'self'; script-src 'self'; style-src 'self'"
        )
        assert "unsafe" not in answer.headers["content-security-policy"]


async def test_assets_have_their_type_and_are_kept(paged: httpx2.AsyncClient) -> None:
    hashed = await paged.get("/assets/app-0a1b2c3d4e.js")
    assert hashed.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in hashed.headers["cache-control"]
    plain = await paged.get("/assets/style.css")
    assert (plain.headers["content-type"], plain.headers["cache-control"]) == (
        "text/css; charset=utf-8",
        "no-cache",
    )
    again = await paged.get("/assets/style.css", headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/.hidden",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets",
        "/v1/nothing",
        "/v2",
        "/index.php",
    ],
)
async def test_nothing_else_is_there(paged: httpx2.AsyncClient, path: str) -> None:
    answer = await paged.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


async def test_one_application_has_the_models_and_the_service(paged: httpx2.AsyncClient) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
    answer = await paged.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "fine"
    assert (await paged.get("/v1/optimizations")).status_code == 200
    started = await paged.post("/v1/optimizations", json=REQUEST)
    assert (started.status_code, started.json()["error"]["code"]) == (409, "conflict")
    assert b'route="optimizations"' in (await paged.get("/metrics")).content


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/optimizations"),
        ("GET", "/v1/optimizations/none"),
        ("GET", "/v1/models"),
        ("GET", "/metrics"),
        ("PUT", "/v1/me"),
        ("POST", "/v1/optimizations"),
        ("GET", "/nothing"),
        ("GET", "/openapi.json"),
    ],
)
async def test_every_answer_carries_the_safe_headers(
    paged: httpx2.AsyncClient, method: str, path: str
) -> None:
    headers = (await paged.request(method, path)).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_limits_of_the_gateway_hold_here_too(open_service: OpenService) -> None:
    service = open_service(settings=ServiceSettings(gateway=GatewaySettings(requests_per_minute=2)))
    answers = [await service.post("/v1/optimizations", REQUEST) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert (await service.get("/v1/optimizations")).status_code == 200


async def test_the_document_has_every_route_answer_and_error(service: Client) -> None:
    document: dict[str, Any] = await service.json("/openapi.json")
    paths = document["paths"]
    for path in (
        "/v1/files",
        "/v1/files/{id}",
        "/v1/files/{id}/content",
        "/v1/files/{id}/rows",
        "/v1/optimizations",
        "/v1/optimizations/estimate",
        "/v1/optimizations/{id}",
        "/v1/optimizations/{id}/events",
        "/v1/optimizations/{id}/cancel",
        "/v1/optimizations/{id}/resume",
        "/v1/optimizations/{id}/trials",
        "/v1/optimizations/{id}/trials/{trial}",
        "/v1/optimizations/{id}/candidates",
        "/v1/optimizations/{id}/candidates/{candidate}",
        "/v1/optimizations/{id}/comparison",
        "/v1/optimizations/{id}/best",
        "/v1/optimizations/{id}/report",
        "/v1/optimizations/{id}/files/{name}",
        "/v1/catalogue",
        "/v1/me",
        "/v1/audit",
        "/v1/chat/completions",
        "/v1/models",
    ):
        assert path in paths, path
    for path, way in paths.items():
        for operation in way.values():
            assert operation["responses"].keys().isdisjoint({"422"}), path
            if path.startswith(("/v1/files", "/v1/optimizations")):
                assert {"400", "401", "404", "429"} <= operation["responses"].keys(), path
    create = paths["/v1/optimizations"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/OptimizationRequest"
    )
    assert create["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/Optimization"
    )
    assert (
        "text/event-stream"
        in paths["/v1/optimizations/{id}/events"]["get"]["responses"]["200"]["content"]
    )
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    text = (await service.get("/openapi.json")).text
    refs = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert refs <= document["components"]["schemas"].keys()
