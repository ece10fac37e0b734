"""One owner, or somebody without a key, asks for as much as they can: another owner is served
within a second all the while.
"""

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cluster.service.backends.ray as ray_backend
from cluster.service.backends.ray import RayBackend
from cluster.service.core.errors import Unavailable
from cluster.service.core.settings import ServiceSettings
from cluster.service.stores.data_files import FileStore
from serving.storage import open_folder
from tests.contracts import endless
from tests.contracts.bombs import repeated_text
from tests.unit.cluster.service.http.conftest import Client, OpenService, Owners
from tests.unit.cluster.service.http.test_uploads import GOOD
from tests.unit.cluster.service.requests import request

ATTACKS = 40
SETTINGS = ServiceSettings.model_validate({"work": {"check_s": 120.0, "waiting_per_owner": 8}})


async def took_s(ask: Callable[[], Awaitable[Any]]) -> float:
    began = time.monotonic()
    answer = await ask()
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


async def while_attacked(
    attack: Callable[[int], Awaitable[Any]], ask: Callable[[], Awaitable[Any]], times: int = ATTACKS
) -> list[Any]:
    """What the attack's requests got, of those that were answered: the other's request is sent when
    all of them are under way.
    """
    idle_s = max([await took_s(ask) for _ in range(3)][1:])
    under_way = [asyncio.ensure_future(attack(number)) for number in range(times)]
    await asyncio.sleep(0.3)
    try:
        for _ in range(3):
            assert await took_s(ask) < max(1.0, 20 * idle_s)
        return [one.result() for one in under_way if one.done()]
    finally:
        for one in under_way:
            one.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


@pytest.fixture
def checking(open_service: OpenService, owners: Owners, tmp_path: Path) -> Owners:
    """Owners of a service that checks requests as the one on Ray does; nothing of it asks Ray."""
    settings = SETTINGS.model_copy(update={"storage": str(tmp_path / "storage")})
    ann = open_service(None, backend=RayBackend(settings), settings=settings)
    bob = open_service(None, again=True)
    for one, known in ((ann, owners.ann), (bob, owners.bob)):
        one.http.headers = known.http.headers
    return Owners(ann, bob, owners.admin, owners.nobody)


@pytest.mark.process
async def test_endless_estimates(checking: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_backend, "unmeasured", endless.estimate)
    answered = await while_attacked(
        lambda number: checking.ann.post("/v1/optimizations/estimate", request()),
        lambda: checking.bob.post("/v1/optimizations/estimate", request()),
    )
    assert {answer.status_code for answer in answered} == {429}
    assert len(answered) == ATTACKS - 2 - 8
    error = answered[0].json()["error"]
    assert (error["code"], answered[0].headers["retry-after"], error["message"].count(".")) == (
        "too_many_at_once",
        "5",
        1,
    )


@pytest.mark.process
async def test_an_endless_estimate_is_answered_in_a_sentence(
    open_service: OpenService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServiceSettings.model_validate(
        {"storage": str(tmp_path / "storage"), "work": {"check_s": 0.3}}
    )
    service = open_service(backend=RayBackend(settings), settings=settings)
    monkeypatch.setattr(ray_backend, "unmeasured", endless.for_ever)
    monkeypatch.setattr(ray_backend, "planned", endless.for_ever)
    for path in ("/v1/optimizations/estimate", "/v1/optimizations"):
        answer = await service.post(path, request())
        assert (answer.status_code, answer.json()["error"]["message"]) == (
            400,
            (
                "Checking this took more than 0.3 s and was stopped: make the data, the search "
                "space or the patterns smaller."
            ),
        )


@pytest.mark.process
async def test_bombs_in_uploads(owners: Owners, tmp_path: Path) -> None:
    repeated_text(tmp_path / "bomb.parquet")
    bomb = (tmp_path / "bomb.parquet").read_bytes()
    answered = await while_attacked(
        lambda number: owners.ann.upload("a.parquet", bomb),
        lambda: owners.bob.upload("a.jsonl", GOOD),
        times=8,
    )
    assert {answer.status_code for answer in answered} <= {400, 429}
    answer = await owners.ann.upload("a.parquet", bomb)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "a.parquet has more than 268,435,456 characters of inputs and targets together; make it "
        "smaller, or split it.",
    )


async def test_slow_bodies(owners: Owners) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)

    def attack(number: int) -> Awaitable[Any]:
        path = ("/v1/optimizations", "/v1/chat/completions", "/v1/optimizations/estimate")[
            number % 3
        ]
        return owners.ann.http.post(
            path, content=slow(), headers={"Content-Type": "application/json"}
        )

    answered = await while_attacked(
        attack, lambda: owners.bob.post("/v1/optimizations/estimate", request()), times=600
    )
    assert {answer.status_code for answer in answered} == {429}
    assert len(answered) == 600 - 128


@pytest.mark.process
async def test_slow_uploads(owners: Owners) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        await asyncio.sleep(3600)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answered = await while_attacked(
        lambda number: owners.ann.http.post("/v1/files", content=slow(), headers=headers),
        lambda: owners.bob.upload("a.jsonl", GOOD),
    )
    assert [answer.status_code for answer in answered] == [429] * (ATTACKS - 8)


@pytest.mark.process
async def test_reads_that_hang(owners: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
    go, get = threading.Event(), FileStore.get
    id = (await owners.bob.upload("a.jsonl", GOOD)).json()["id"]

    def hangs(store: FileStore, principal: Any, file: str) -> Any:
        if principal.owner == "ann":
            go.wait(60)
        return get(store, principal, file)

    monkeypatch.setattr(FileStore, "get", hangs)
    try:
        answered = await while_attacked(
            lambda number: owners.ann.get(f"/v1/files/{id}"),
            lambda: owners.bob.get(f"/v1/files/{id}"),
            times=100,
        )
        assert {answer.status_code for answer in answered} == {429}
        assert (await owners.nobody.get("/healthz")).json() == {"status": "ok"}
    finally:
        go.set()


async def test_a_crowd_without_keys(owners: Owners) -> None:
    body = b"x" * 1_000_000
    answered = await while_attacked(
        lambda number: owners.nobody.http.post(
            ("/v1/optimizations", "/v1/files", "/v1/me")[number % 3], content=body
        ),
        lambda: owners.bob.get("/v1/files"),
        times=600,
    )
    assert {answer.status_code for answer in answered} == {401}


@pytest.mark.parametrize("packing", ["gzip", "br", "deflate, gzip"])
async def test_a_packed_body_is_refused_unread(owners: Owners, packing: str) -> None:
    for path in ("/v1/optimizations", "/v1/files", "/v1/chat/completions"):
        answer = await owners.ann.http.post(
            path, content=b"x", headers={"Content-Encoding": packing}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")


@pytest.mark.process
async def test_an_owner_keeps_a_bounded_number_of_files_and_of_bytes(
    open_service: OpenService, owners: Owners
) -> None:
    work = {"files_per_owner": 3, "file_bytes_per_owner": 20_000}
    ann = open_service(None, settings=ServiceSettings.model_validate({"work": work}))
    bob = open_service(None, again=True)
    ann.http.headers, bob.http.headers = owners.ann.http.headers, owners.bob.http.headers
    kept = [(await ann.upload("a.jsonl", GOOD)).json()["id"] for _ in range(2)]
    large = GOOD + b"\n" * 20_000
    for content, said in ((large, "bytes, and may have 20,000: delete one first"), (GOOD, "")):
        answer = await ann.upload("a.jsonl", content)
        assert (answer.status_code, said in answer.text) == (413 if said else 200, True)
    together = await asyncio.gather(*(ann.upload("a.jsonl", GOOD) for _ in range(3)))
    assert {answer.status_code for answer in together} == {413}
    assert together[0].json()["error"]["message"] == "You have 3 of 3 files: delete one first."
    assert (await bob.upload("a.jsonl", GOOD)).status_code == 200
    await ann.http.delete(f"/v1/files/{kept[0]}")
    together = await asyncio.gather(*(ann.upload("a.jsonl", GOOD) for _ in range(3)))
    assert sorted(answer.status_code for answer in together) == [200, 413, 413]


@pytest.mark.process
async def test_rows_come_in_answers_of_bounded_size(service: Client) -> None:
    sink = io.BytesIO()
    names = [str(number) for number in range(5)]
    pq.write_table(
        pa.table({"input": [name + "x" * 1_500_000 for name in names], "target": names}), sink
    )
    stored = (await service.upload("a.parquet", sink.getvalue())).json()
    assert max(len(row["input"]) for row in stored["preview"]) < 20_000
    after, answers = "0", []
    while True:
        page = await service.json(f"/v1/files/{stored['id']}/rows", after=after, limit=1000)
        answers += [row["answers"][0] for row in page["data"]]
        assert len(page["data"]) <= 2
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert answers == names


async def test_health_names_the_part_that_does_not_work(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import cluster.service.http.health as health
    import serving.gateway.health as gateway_health

    monkeypatch.setattr(health.PartsHealth.__init__, "__defaults__", (0.2,))
    monkeypatch.setattr(gateway_health, "SEEN_WITHIN_S", 0.0)
    service = open_service()
    assert (await service.get("/healthz")).json() == {"status": "ok"}
    waiting = asyncio.Event()

    async def hangs() -> None:
        await waiting.wait()

    async def breaks() -> None:
        raise Unavailable("secret")

    for ping, said in ((hangs, "does not answer within 0.2 s"), (breaks, "does not work")):
        with monkeypatch.context() as patch:
            patch.setattr(service.backend, "ping", ping)
            answer = await service.get("/healthz")
            assert (answer.status_code, answer.json()) == (
                503,
                {"status": "failing", "parts": {"jobs": said}},
            )
            assert answer.headers["retry-after"] == "5"
    go = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "ping", lambda store: go.wait(30))
        for _ in range(3):
            assert "storage" in (await service.get("/healthz")).json()["parts"]
        go.set()
    async with asyncio.timeout(20):
        while (await service.get("/healthz")).json() != {"status": "ok"}:
            await asyncio.sleep(0.01)


async def test_many_who_ask_for_health_are_one_look(open_service: OpenService) -> None:
    service, looks = open_service(), 0

    async def counted() -> None:
        nonlocal looks
        looks += 1

    service.backend.ping = counted  # type: ignore[method-assign]
    await asyncio.gather(*(service.get("/healthz") for _ in range(100)))
    assert looks == 1


def test_the_storage_of_a_file_store_is_asked(tmp_path: Path) -> None:
    FileStore(open_folder(tmp_path)).ping()


async def test_bodies_nested_without_end_or_of_countless_parts(owners: Owners) -> None:
    fields = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % number
        for number in range(5000)
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"[" * 1_000_000, b'{"a":' * 300_000, b'{"tasks": ' + b"[" * 900_000):
        json = {"Content-Type": "application/json"}
        for path in ("/v1/optimizations", "/v1/chat/completions"):
            assert (
                await owners.ann.http.post(path, content=content, headers=json)
            ).status_code == 400
    assert (
        await owners.ann.http.post("/v1/files", content=fields + b"--x--\r\n", headers=headers)
    ).status_code == 400


@pytest.mark.process
async def test_a_download_is_read_as_it_is_sent(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cluster.service.http.files as files

    monkeypatch.setattr(files, "PIECE_BYTES", 10)
    id = (await owners.ann.upload("a.jsonl", GOOD)).json()["id"]
    answer = await owners.ann.get(f"/v1/files/{id}/content")
    assert (answer.content, answer.headers["content-length"]) == (GOOD, str(len(GOOD)))
