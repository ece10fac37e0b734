"""What another site's page, or a name that points here, can do to the service and to a finished
folder that is shown: nothing.
"""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from cluster.cli import app as cli
from cluster.service.access.key_store import add_key
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.backends.replay import ReplayBackend
from cluster.service.core.settings import ServiceSettings
from cluster.service.http.openapi import openapi_document
from cluster.service.show import shown_app
from serving.gateway.settings import GatewaySettings
from serving.storage import open_folder
from tests.contracts import sites
from tests.contracts.sites import EVIL, HOST, ask, named
from tests.unit.cluster.service.http.conftest import REQUEST, Small

JOBS = "/v1/optimizations"
FORM = "multipart/form-data; boundary=x"
FILE = (
    b'--x\r\nContent-Disposition: form-data; name="file"; '
    b'filename="a.csv"\r\n\r\ninput,target\na,b\nc,d\n\r\n--x--\r\n'
)
REBOUND = named(
    "evil.example:8000", ("origin", "http://evil.example:8000"), ("sec-fetch-site", "same-origin")
)
"""Of a page whose own name was made to point here: to its browser it is one site."""
POSTED = named(HOST, ("origin", EVIL), ("sec-fetch-site", "cross-site"))
EMBEDDED = named(HOST, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"))
NEIGHBOUR = named("127.0.0.1:8000", ("origin", "http://127.0.0.1:3000"))
"""Of another program's page on this machine, in a browser that does not tell of sites."""


@pytest.fixture(scope="module", params=["with jobs", "finished folders alone"])
def app(
    request: pytest.FixtureRequest, small: Small, tmp_path_factory: pytest.TempPathFactory
) -> FastAPI:
    """The application of `promptray up` and of `promptray show --play`, and that of `promptray
    show`.
    """
    backend = (
        ReplayBackend([small.out], 0.0)
        if request.param == "with jobs"
        else ArchiveBackend([str(small.out)])
    )
    return shown_app(backend, open_folder(tmp_path_factory.mktemp("sites") / "storage"))


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of each that is documented, with names in place of ids."""
    pairs = [
        (method.upper(), path)
        for path, known in openapi_document(app)["paths"].items()
        for method in known
    ]
    return [
        (method, path.replace("{", "").replace("}", ""))
        for method, path in pairs
        if path != "/healthz"
    ]


async def test_no_route_is_open_to_another_sites_page_but_the_pages_own_files(app: FastAPI) -> None:
    assert len(routes(app)) > 20
    for method, path in routes(app):
        for headers in (REBOUND, POSTED, EMBEDDED, NEIGHBOUR, named(None)):
            answer = await ask(app, method, path, headers)
            assert (answer.status, answer.code in ("unknown_host", "cross_site")) == (403, True), (
                method,
                path,
                headers,
            )
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert answer.headers["content-security-policy"]


async def test_the_page_comes_by_a_link_but_not_by_another_name(app: FastAPI) -> None:
    for path in ("/", "/jobs/opt-1", "/assets/api.js"):
        assert (await ask(app, "GET", path, EMBEDDED)).status == 200
        assert (await ask(app, "GET", path, REBOUND)).status == 403
    assert (await ask(app, "GET", "/healthz", REBOUND)).status == 200


@pytest.mark.process
async def test_another_sites_page_starts_stops_uploads_and_follows_nothing(
    small: Small, tmp_path: Path
) -> None:
    app = shown_app(ReplayBackend([small.out], 0.0), open_folder(tmp_path / "storage"))
    for headers in sites.FOREIGN:
        assert (await ask(app, "POST", JOBS, headers, REQUEST)).status == 403
        assert (await ask(app, "POST", "/v1/files", headers, FILE, FORM)).status == 403
    (job,) = (await page(app, JOBS))["data"]
    assert (await page(app, "/v1/files"))["data"] == []
    for accept in ((), (("accept", "text/event-stream"),)):
        for headers in (REBOUND, POSTED, EMBEDDED):
            answer = await ask(
                app, "GET", f"{JOBS}/{job['id']}/events?stream=true", (*headers, *accept)
            )
            assert (answer.status, "data:" in answer.text) == (403, False)
    assert not (tmp_path / "storage" / "audit").exists()
    for headers in sites.OWN:
        assert (await ask(app, "POST", "/v1/files", headers, FILE, FORM)).status == 200


@pytest.mark.parametrize("kind", sites.NOT_JSON)
async def test_what_does_not_call_itself_json_starts_nothing(
    small: Small, tmp_path: Path, kind: str | None
) -> None:
    app = shown_app(ReplayBackend([small.out], 0.0), open_folder(tmp_path / "storage"))
    for path in (JOBS, f"{JOBS}/estimate"):
        answer = await ask(app, "POST", path, named(HOST), REQUEST, kind)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")
    if kind is None or not kind.startswith("multipart"):
        assert (await ask(app, "POST", "/v1/files", named(HOST), FILE, kind)).status == 415
    assert (await ask(app, "POST", "/v1/files", named(HOST), b"{}")).status == 415
    assert len((await page(app, JOBS))["data"]) == 1


async def test_behind_a_proxy_a_key_opens_by_whatever_name_and_the_proxys_page_may_ask(
    small: Small, tmp_path: Path
) -> None:
    storage = open_folder(tmp_path / "storage")
    key = ("authorization", f"Bearer {add_key(storage, 'ann')[1]}")
    gateway = GatewaySettings(allowed_hosts=("prompts.example.org",))
    app = shown_app(ReplayBackend([small.out], 0.0), storage, ServiceSettings(gateway=gateway))
    public = ("origin", "https://prompts.example.org")
    for headers in (
        named("promptray-serve-svc:8000", key),
        named("10.1.2.3:8000", key),
        named("prompts.example.org", key, public),
        named("promptray-serve-svc:8000", key, public, ("sec-fetch-site", "same-origin")),
    ):
        assert (await ask(app, "POST", JOBS, headers, REQUEST)).status == 200
    for path, status in {"/": 200, "/assets/api.js": 200, "/healthz": 200, JOBS: 401}.items():
        assert (await ask(app, "GET", path, named("prompts.example.org"))).status == status
    for page_of in (("origin", EVIL), ("origin", "null"), ("sec-fetch-site", "cross-site")):
        assert (await ask(app, "POST", JOBS, named(HOST, key, page_of), REQUEST)).status == 403


async def test_the_command_that_shows_folders_guards_them_and_takes_names(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[FastAPI] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **_: served.append(app))
    for names in ([], ["--allowed-host", "prompts.example.org"]):
        assert CliRunner().invoke(cli, ["show", str(small.out), *names]).exit_code == 0
    for app, status in zip(served, (403, 200), strict=True):
        assert (await ask(app, "GET", JOBS, named("prompts.example.org"))).status == status
        assert (await ask(app, "GET", JOBS, REBOUND)).status == 403
    assert "no name of a host" in str(
        CliRunner().invoke(cli, ["show", str(small.out), "--allowed-host", "*"]).exception
    )


async def test_there_is_no_websocket(app: FastAPI) -> None:
    for path in (JOBS, "/", "/v1/chat/completions"):
        assert (await sites.websocket(app, path, named(HOST)))[0]["type"] == "websocket.close"


async def page(app: FastAPI, path: str) -> dict[str, list[dict[str, str]]]:
    answer = await ask(app, "GET", path)
    assert answer.status == 200, answer.text
    found: dict[str, list[dict[str, str]]] = httpx2.Response(200, text=answer.text).json()
    return found
