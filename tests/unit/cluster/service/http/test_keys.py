"""Keys, who may come in with them, and the audit."""

import json
from pathlib import Path

import pytest

from cluster.service.access.api_keys import LOCAL, Authenticator
from cluster.service.access.key_store import add_key, read_keys, remove_key
from cluster.service.core.backend import Principal
from cluster.service.core.errors import NotFound
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.stores.audit_log import LINES, Audit
from optimizer.errors import StorageError
from serving.gateway.errors import Refused
from serving.gateway.settings import GatewaySettings
from serving.storage import Folder, open_folder
from tests.contracts import hostile
from tests.unit.cluster.service.http.conftest import REQUEST, OpenService, Owners


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    return open_folder(tmp_path / "storage")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def refused(ring: Authenticator, authorization: str | None) -> int:
    with pytest.raises(Refused) as no:
        await ring.admit(authorization)
    return no.value.status


async def test_a_key_opens_for_its_owner_and_only_its_digest_is_kept(storage: Folder) -> None:
    _, key = add_key(storage, "ann")
    _, other = add_key(storage, "root", admin=True)
    ring = Authenticator(storage)
    assert await ring.admit(f"Bearer {key}") == Principal("ann")
    assert await ring.admit(f"bearer  {other} ") == Principal("root", admin=True)
    kept = storage.read("keys.json").decode()
    assert key not in kept
    assert other not in kept
    assert len(key) > 43


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer \udcff",
    ],
)
async def test_anything_else_is_refused(storage: Folder, given: str | None) -> None:
    _, key = add_key(storage, "ann")
    assert await refused(Authenticator(storage), given and given.replace("{key}", key)) == 401


async def test_a_running_replica_sees_new_and_removed_keys_within_seconds(storage: Folder) -> None:
    clock = Clock()
    first, key = add_key(storage, "ann")
    ring = Authenticator(storage, seen_within_s=2.0, clock=clock)
    _, late = add_key(storage, "bob")
    assert await refused(ring, f"Bearer {late}") == 401
    clock.now = 2.0
    assert await ring.admit(f"Bearer {late}") == Principal("bob")
    remove_key(storage, first.id)
    clock.now = 4.0
    assert await refused(ring, f"Bearer {key}") == 401
    with pytest.raises(NotFound):
        remove_key(storage, first.id)


async def test_without_keys_everybody_is_local_on_this_machine_and_nobody_is_elsewhere(
    storage: Folder,
) -> None:
    assert await Authenticator(storage).admit(None) == LOCAL
    assert await refused(Authenticator(storage, public=True), None) == 401


async def test_the_last_key_taken_away_opens_nothing_in_public(storage: Folder) -> None:
    clock = Clock()
    stored, _ = add_key(storage, "ann")
    ring = Authenticator(storage, public=True, clock=clock)
    remove_key(storage, stored.id)
    clock.now = 10.0
    assert await refused(ring, None) == 401


async def test_keys_that_cannot_be_read_open_nothing(storage: Folder) -> None:
    clock = Clock()
    _, key = add_key(storage, "ann")
    ring = Authenticator(storage, clock=clock)
    storage.write("keys.json", b'{"keys": [{"id": 1}]}')
    clock.now = 10.0
    assert await refused(ring, f"Bearer {key}") == 503
    with pytest.raises(StorageError):
        read_keys(storage)


async def test_a_key_of_the_gateway_opens_the_models_alone(
    open_service: OpenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "a-door-key")
    settings = ServiceSettings(gateway=GatewaySettings(api_key_env="THE_KEY"))
    service = open_service("a-door-key", settings=settings)
    assert (await service.get("/v1/models")).status_code == 200
    answer = await service.get("/v1/me")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "models_only")
    assert (await open_service(again=True).get("/v1/models")).status_code == 401


def test_a_keys_own_quota_stands_above_the_services(storage: Folder) -> None:
    add_key(storage, "ann", quota=QuotaSettings(jobs_at_once=7))
    add_key(storage, "ann")
    add_key(storage, "bob")
    ring = Authenticator(storage, quota=QuotaSettings(jobs_at_once=2, calls_a_day=100))
    assert ring.quota("ann") == QuotaSettings(jobs_at_once=7, calls_a_day=100)
    assert (
        ring.quota("bob") == ring.quota("nobody") == QuotaSettings(jobs_at_once=2, calls_a_day=100)
    )


async def test_me_says_whose_key_it_is_and_what_it_may_use(owners: Owners) -> None:
    await owners.ann.post("/v1/optimizations", REQUEST)
    me = await owners.ann.json("/v1/me")
    assert (me["owner"], me["admin"], me["quota"]["jobs_at_once"], me["quota"]["jobs_now"]) == (
        "ann",
        False,
        2,
        1,
    )
    assert (await owners.admin.json("/v1/me"))["admin"] is True


@pytest.mark.process
async def test_the_audit_says_who_did_what_and_only_to_admins(owners: Owners) -> None:
    id = (await owners.ann.post("/v1/optimizations", REQUEST)).json()["id"]
    await owners.bob.post(f"/v1/optimizations/{id}/cancel")
    await owners.ann.post(f"/v1/optimizations/{id}/cancel")
    await owners.bob.upload("x.csv", b"input,target\na,b\n")
    entries = (await owners.admin.json("/v1/audit"))["data"]
    assert [(entry["owner"], entry["action"], entry["outcome"]) for entry in entries] == [
        ("bob", "file.upload", "done"),
        ("ann", "optimization.cancel", "done"),
        ("bob", "optimization.cancel", "NotFound"),
        ("ann", "optimization.create", "done"),
    ]
    assert entries[1]["subject"] == entries[3]["subject"] == id
    assert (await owners.ann.get("/v1/audit")).status_code == 403
    page = await owners.admin.json("/v1/audit", limit=3)
    rest = await owners.admin.json("/v1/audit", after=page["last_id"])
    assert page["data"] + rest["data"] == entries
    assert (await owners.admin.get("/v1/audit", after="audit-none")).status_code == 404


def test_several_writers_days_and_files_are_one_audit(storage: Folder) -> None:
    clock = Clock()
    writers = [Audit(storage, clock) for _ in range(2)]
    for number in range(2 * LINES + 10):
        clock.now = 86_000 + number * 10
        writers[number % 2 if number > LINES * 2 else 0].write("ann", "act", str(number))
    found = Audit(storage).page(None, 1000).data
    assert [entry.subject for entry in found] == [
        str(number) for number in reversed(range(2 * LINES + 10))
    ]
    assert len({name.partition(".")[0] for name in (storage / "audit").names()}) == 2


@pytest.mark.parametrize("text", hostile.SHORT)
def test_the_audit_takes_any_subject(storage: Folder, text: str) -> None:
    audit = Audit(storage)
    audit.write(text, "act", text)
    audit.write("bob", "act", "plain")
    entries = audit.page(None, 10).data
    assert (entries[0].owner, len(entries)) == ("bob", 2)


def test_the_commands_make_show_and_take_back_keys(storage: Folder, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from cluster.cli import app

    place = str(tmp_path / "storage")
    made = CliRunner().invoke(
        app, ["keys", "add", "ann", "--admin", "--jobs-at-once", "3", "--storage", place]
    )
    assert made.exit_code == 0, made.output
    key = made.output.split()[-1]
    (stored,) = read_keys(storage)
    assert (stored.owner, stored.admin, stored.quota) == (
        "ann",
        True,
        QuotaSettings(jobs_at_once=3),
    )
    shown = CliRunner().invoke(app, ["keys", "list", "--storage", place])
    assert stored.id in shown.output
    assert key not in shown.output
    assert CliRunner().invoke(app, ["keys", "remove", stored.id, "--storage", place]).exit_code == 0
    assert read_keys(storage) == ()
    assert [json.loads(line)["action"] for line in audit_lines(storage)] == [
        "key.add",
        "key.remove",
    ]
    assert key not in "".join(audit_lines(storage))


def audit_lines(storage: Folder) -> list[str]:
    folder = storage / "audit"
    lines = [line for name in folder.names() for line in folder.read(name).decode().splitlines()]
    return sorted(lines, key=lambda line: str(json.loads(line)["id"]))


async def test_no_key_is_in_any_answer(owners: Owners) -> None:
    header = owners.ann.http.headers["authorization"].removeprefix("Bearer ")
    for path in ("/v1/me", "/v1/optimizations", "/v1/files", "/openapi.json"):
        assert header not in (await owners.ann.get(path)).text


async def test_a_client_without_a_key_learns_how_to_send_one(owners: Owners) -> None:
    answer = await owners.nobody.get("/v1/optimizations")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["type"] == "authentication_error"
    assert (await owners.nobody.get("/healthz")).status_code == 200
