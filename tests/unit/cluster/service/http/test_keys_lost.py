"""Whatever becomes of its keys, a service that had one is never open without; a key that was taken
back stays so, and ends what it had opened.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.types import Message
from typer.testing import CliRunner

from cluster.cli import app
from cluster.cli.service import up
from cluster.service.access.api_keys import LOCAL, Authenticator, expect_way_in
from cluster.service.access.key_store import add_key, read_keys, remove_key
from cluster.service.backends.replay import ReplayBackend
from cluster.service.core.backend import Principal
from cluster.service.core.settings import ServiceSettings
from cluster.service.http.app import service_app
from cluster.service.http.deps import Service
from cluster.service.schemas import OptimizationRequest
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.data_files import FileStore
from optimizer.errors import PromptrayError, SettingsError, StorageError
from serving.gateway import middleware
from serving.gateway.errors import Refused
from serving.gateway.settings import GatewaySettings
from serving.storage import Folder, open_folder
from serving.storage.local import LocalFolder
from tests.contracts.scripted_stream import ScriptedStream, words
from tests.contracts.sites import HOST, Headers, named, scope_of
from tests.contracts.waiting import until
from tests.unit.cluster.service.http.conftest import REQUEST, Small

ENDS_WITHIN_S = 30.0
"""A generous limit: the machine may be busy."""


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    return open_folder(tmp_path / "storage")


async def status(ring: Authenticator, key: str | None = None) -> int:
    """200 where the ring lets in."""
    try:
        await ring.admit(key and f"Bearer {key}")
    except Refused as no:
        return 0 if "storage" in no.reason else no.status  # nobody who asks is told of places
    return 200


def with_file(content: bytes | None) -> Callable[[Folder, str], None]:
    def lose(storage: Folder, _: str) -> None:
        if content is None:
            storage.delete("keys.json")
        else:
            storage.write("keys.json", content)

    return lose


def in_place_of_a_folder(storage: Folder, _: str) -> None:
    storage.delete("keys.json")
    (storage / "keys.json").make()


LOSSES: dict[str, tuple[Callable[[Folder, str], object], int]] = {
    "missing": (with_file(None), 503),
    "empty": (with_file(b""), 503),
    "cut": (with_file(b'{"keys": [{"id": "key-'), 503),
    "of another form": (with_file(b"[]"), 503),
    "of a newer form": (with_file(b'{"keys": [], "version": 2}'), 503),
    "not text": (with_file(b"\xff\x00"), 503),
    "a folder": (in_place_of_a_folder, 503),
    "without keys": (with_file(b'{"keys": []}'), 401),
    "with its last key removed": (remove_key, 401),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_service_that_had_a_key_is_never_open_without(storage: Folder, loss: str) -> None:
    lose, expected = LOSSES[loss]
    stored, key = add_key(storage, "ann", admin=True)
    running = Authenticator(storage, seen_within_s=0.0)
    lose(storage, stored.id)
    for ring in (running, Authenticator(storage)):
        assert [await status(ring), await status(ring, key), await status(ring, "pr-other")] == [
            expected
        ] * 3
        assert ring.requires_keys
    with pytest.raises(PromptrayError, match=r"^[^\n]+`promptray keys add [^\n]+$"):
        expect_way_in(ServiceSettings(storage=storage.place))


async def test_a_folder_of_before_there_was_a_mark_is_marked_by_whoever_opens_it(
    storage: Folder,
) -> None:
    add_key(storage, "ann")
    (storage / "keys").remove()
    Authenticator(storage)
    storage.delete("keys.json")
    assert await status(Authenticator(storage)) == 503


async def test_a_running_service_does_not_forget_that_there_were_keys(storage: Folder) -> None:
    add_key(storage, "ann")
    ring = Authenticator(storage, seen_within_s=0.0)
    storage.remove()
    assert await status(ring) == 503
    assert await status(ring) == 503


async def test_keys_that_are_brought_back_or_made_anew_open_again(storage: Folder) -> None:
    _, key = add_key(storage, "ann")
    ring, copy = Authenticator(storage, seen_within_s=0.0), storage.read("keys.json")
    storage.delete("keys.json")
    assert await status(ring, key) == 503
    storage.write("keys.json", copy)
    assert await status(ring, key) == 200
    storage.delete("keys.json")
    _, anew = add_key(storage, "bob")
    assert [await status(ring, key), await status(ring, anew)] == [401, 200]
    storage.write("keys.json", b"{")
    with pytest.raises(StorageError, match="damaged"):
        add_key(storage, "cid")
    assert storage.read("keys.json") == b"{"


async def test_no_keys_is_said_by_a_person_and_for_this_machine_alone(storage: Folder) -> None:
    stored, key = add_key(storage, "ann")
    ring = Authenticator(storage, no_keys=True)
    assert [await ring.admit(given) for given in (None, "Bearer any", f"Bearer {key}")] == [
        LOCAL,
        LOCAL,
        Principal("ann"),
    ]
    assert not ring.requires_keys
    remove_key(storage, stored.id)
    expect_way_in(ServiceSettings(storage=storage.place, no_keys=True))
    with pytest.raises(SettingsError, match="Other machines"):
        expect_way_in(
            ServiceSettings(
                storage=storage.place, no_keys=True, gateway=GatewaySettings(host="0.0.0.0")
            )
        )
    with pytest.raises(ValidationError, match="contradicts"):
        ServiceSettings(
            storage=storage.place, no_keys=True, gateway=GatewaySettings(api_key_env="KEY")
        )


def test_up_starts_no_ray_for_a_service_that_nobody_could_use(
    storage: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    remove_key(storage, add_key(storage, "ann")[0].id)
    with pytest.raises(
        SettingsError,
        match=f"^No key opens the service of {storage.place} any more: [^\n]+--no-keys",
    ):
        up(storage=storage.place)


@pytest.mark.parametrize(
    "order", ["the key is taken back meanwhile", "the file is brought back from before"]
)
async def test_a_key_that_was_taken_back_never_comes_back(
    storage: Folder, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, key = add_key(storage, "ann")
    before = storage.read("keys.json")
    if order.startswith("the file"):
        remove_key(storage, stored.id)
        storage.write("keys.json", before)
    else:
        removing = threading.Thread(target=remove_key, args=(storage, stored.id))
        write = LocalFolder.write

        def written_late(folder: LocalFolder, name: str, data: bytes) -> None:
            """Leaves another process the time to come between what was read and what is written of
            it.
            """
            if name == "keys.json" and removing.ident is None:
                removing.start()
                removing.join(0.5)
            write(folder, name, data)

        monkeypatch.setattr(LocalFolder, "write", written_late)
        add_key(storage, "bob")
        removing.join(ENDS_WITHIN_S)
        assert [key.owner for key in read_keys(storage)] == ["bob"]
    assert await status(Authenticator(storage), key) == 401
    add_key(storage, "cid")
    assert await status(Authenticator(storage), key) == 401


def test_of_many_who_add_keys_at_once_none_is_lost(storage: Folder) -> None:
    adding = [
        threading.Thread(target=add_key, args=(storage, f"owner-{number}")) for number in range(8)
    ]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join(ENDS_WITHIN_S)
    assert sorted(key.owner for key in read_keys(storage)) == sorted(
        f"owner-{number}" for number in range(8)
    )


def test_a_store_keeps_keys_and_marks_as_a_disk_does(bucket: str) -> None:
    storage = open_folder(bucket)
    stored, _ = add_key(storage, "ann")
    before = storage.read("keys.json")
    remove_key(storage, stored.id)
    storage.write("keys.json", before)
    assert read_keys(storage) == ()
    storage.delete("keys.json")
    with pytest.raises(StorageError, match="is gone, though keys were made"):
        read_keys(storage)


def test_whoever_makes_the_first_key_is_told_what_it_changes(storage: Folder) -> None:
    def said(*words: str) -> str:
        ended = CliRunner().invoke(app, ["keys", *words, "--storage", storage.place])
        assert ended.exit_code == 0, ended.output
        return " ".join(ended.output.split())

    first = said("add", "ann")
    assert "requires one from everybody, also on this machine" in first
    assert f"promptray keys add NAME --admin --storage {storage.place}" in first
    assert first.split()[-1].startswith("pr-")
    assert "first key" not in said("add", "root", "--admin")
    ann, root = read_keys(storage)
    assert "nobody in" not in said("remove", ann.id)
    assert "admits nobody until you create a key" in said("remove", root.id)
    assert "first key" not in said("add", "ann")


class Listening:
    """A stream of events that is being read."""

    def __init__(self, app: FastAPI, path: str, headers: Headers, body: bytes = b"") -> None:
        self.sent: list[Message] = []
        method = "POST" if body else "GET"
        given = (
            (*headers, ("content-type", "application/json"), ("content-length", str(len(body))))
            if body
            else headers
        )
        bodies = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return next(bodies, None) or await asyncio.Event().wait()  # type: ignore[return-value]

        async def send(message: Message) -> None:
            self.sent.append(message)

        self.task = asyncio.ensure_future(
            app(
                {**scope_of("http", path, given), "method": method, "scheme": "http"}, receive, send
            )
        )

    @property
    def pieces(self) -> int:
        return len([message for message in self.sent if message.get("body")])

    async def ended(self) -> bool:
        """Did it come to an end of its own, as a stream that is whole?"""
        await asyncio.wait_for(self.task, ENDS_WITHIN_S)
        return not self.sent[-1].get("more_body", False)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "RECHECK_EVERY_S", 0.05)


def opened(
    small: Small, storage: Folder, models: dict[str, ScriptedStream] | None = None
) -> tuple[FastAPI, ReplayBackend]:
    """A service whose jobs never come to their second event."""
    backend, ring = ReplayBackend([small.out], 3600.0), Authenticator(storage, seen_within_s=0.0)
    service = Service(
        backend, FileStore(storage), Audit(storage), ServiceSettings(), ring.quota, heartbeat_s=0.02
    )
    return service_app(service, ring, models), backend


async def test_a_stream_ends_with_its_key_and_no_other_does(
    small: Small, storage: Folder, hurried: None
) -> None:
    (ann, ann_key), (_, root_key) = add_key(storage, "ann"), add_key(storage, "root", admin=True)
    model = ScriptedStream(words)
    app, backend = opened(small, storage, {"stream": model})
    job = await backend.create(Principal("ann"), OptimizationRequest.model_validate(REQUEST))
    keys = {
        name: named(HOST, ("authorization", f"Bearer {key}"))
        for name, key in (("ann", ann_key), ("root", root_key))
    }
    path = f"/v1/optimizations/{job.id}/events?stream=true"
    asked = (
        b'{"model": "stream", "stream": true, "messages": [{"role": "user", "content": "one two '
        b'wait"}]}'
    )
    streams = [
        Listening(app, path, keys["ann"]),
        Listening(app, path, keys["root"]),
        Listening(app, "/v1/chat/completions", keys["ann"], asked),
    ]
    await until(lambda: all(stream.pieces > 2 for stream in streams[:2]) and model.waiting.is_set())
    remove_key(storage, ann.id)
    assert [await streams[0].ended(), await streams[2].ended(), model.cancelled.is_set()] == [
        True,
        True,
        True,
    ]
    heard = streams[1].pieces
    await until(lambda: streams[1].pieces > heard + 20)
    assert not streams[1].task.done()
    again = Listening(app, path, keys["ann"])
    await again.ended()
    assert again.sent[0]["status"] == 401
    streams[1].task.cancel()
    await backend.close()


async def test_the_first_key_ends_what_was_open_without_one(
    small: Small, storage: Folder, hurried: None
) -> None:
    app, backend = opened(small, storage)
    job = await backend.create(LOCAL, OptimizationRequest.model_validate(REQUEST))
    stream = Listening(app, f"/v1/optimizations/{job.id}/events?stream=true", named(HOST))
    await until(lambda: stream.pieces > 2)
    add_key(storage, "ann")
    assert await stream.ended()
    await backend.close()
