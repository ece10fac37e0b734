"""Who may come in, where keys come from, and that no key comes out anywhere."""

import logging
import pickle
from pathlib import Path

import pytest

from optimizer.errors import SettingsError
from serving.gateway.api_keys import Keys
from serving.gateway.errors import Refused
from serving.gateway.settings import GatewaySettings, expect_guarded
from tests.contracts.scripted_stream import ScriptedStream, words
from tests.unit.serving.gateway.conftest import KEY, OpenGateway

OTHER = "another-right-key"


async def test_a_key_is_asked_for_but_not_for_health(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway(None, KEY, OTHER)
    statuses = [
        (await gateway.chat(key=key)).status
        for key in (None, "", "wrong", KEY + "x", KEY[:-1], "kéy", KEY, OTHER)
    ]
    assert statuses == [401, 401, 401, 401, 401, 401, 200, 200]
    for path in ("/v1/models", "/metrics", "/v1/completions", "/nowhere"):
        reply = await gateway.ask(path)
        assert (reply.status, reply.code, reply.headers["WWW-Authenticate"]) == (
            401,
            "invalid_api_key",
            "Bearer",
        )
    assert (await gateway.ask("/healthz")).json == {"status": "ok"}
    assert (await gateway.ask("/metrics", key=KEY)).status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (KEY, 401),
        (f"Basic {KEY}", 401),
        (f"bearer {KEY}", 200),
        (f"Bearer  {KEY} ", 200),
        ("Bearer", 401),
    ],
)
async def test_only_a_bearer_comes_in(open_gateway: OpenGateway, header: str, status: int) -> None:
    gateway = await open_gateway(None, KEY)
    assert (await gateway.ask("/v1/models", headers={"Authorization": header})).status == status


def test_keys_come_from_a_file_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# for the team\n\n  {KEY}  \n # old\nthird\n{KEY}\n")
    monkeypatch.setenv("A_KEY_OF_THIS_TEST", OTHER)
    keys = GatewaySettings(api_key_env="A_KEY_OF_THIS_TEST", api_keys_file=file).keys()
    assert [keys.owner(f"Bearer {key}") for key in (OTHER, KEY, "third")] == [0, 1, 2]
    assert len(keys) == 3
    assert not GatewaySettings().keys()


async def test_a_deleted_key_or_file_admits_nobody(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{OTHER}\n{KEY}\n")
    keys = Keys(file=file, seen_within_s=0.0)
    assert await keys.admit(f"Bearer {KEY}") == 1
    file.write_text(f"{KEY}\nthird\n")
    assert [await keys.admit(f"Bearer {key}") for key in (KEY, "third")] == [
        1,
        2,
    ]  # an owner stays the same
    for text in ("", "# nobody\n", "kéy", None):
        file.unlink() if text is None else file.write_text(text)
        for given in (f"Bearer {KEY}", f"Bearer {OTHER}", None):
            with pytest.raises(Refused) as no:
                await keys.admit(given)
            assert (no.value.status, no.value.code) == (503, "keys_unreadable")
        assert keys.requires_keys
    file.write_text(KEY)
    assert await keys.admit(f"Bearer {KEY}") == 1
    with pytest.raises(Refused, match="401"):
        await keys.admit(f"Bearer {OTHER}")


@pytest.mark.parametrize("text", ["", "# only words\n\n", "sp ace-key\n", "kéy-key\n", "tab\tkey"])
def test_a_file_without_a_good_key_is_one_sentence_without_the_key(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(SettingsError) as problem:
        Keys.read(file=tmp_path / "keys")
    assert "key" not in str(problem.value).replace("API key", "").replace(
        str(tmp_path / "keys"), ""
    ).replace("no key", "")
    assert str(problem.value).count(".") <= 1 + str(tmp_path).count(".")


def test_a_source_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Keys.read(file=tmp_path / "none")
    with pytest.raises(SettingsError, match="NO_KEY_OF_THIS_TEST holds no API key"):
        Keys.read("NO_KEY_OF_THIS_TEST")


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("::1", False),
        ("127.9.9.9", False),
        (None, False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.7", True),
        ("door.example", True),
    ],
)
def test_other_machines_come_in_only_by_key(host: str | None, open_to_others: bool) -> None:
    expect_guarded(host, Keys([KEY]))
    if not open_to_others:
        expect_guarded(host, Keys())
        return
    with pytest.raises(SettingsError, match="Other machines could use the models"):
        expect_guarded(host, Keys())


async def test_no_key_comes_out_anywhere(
    open_gateway: OpenGateway,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "sk-0123456789-never-to-be-seen"
    (tmp_path / "keys").write_text(secret)
    settings = GatewaySettings(api_keys_file=tmp_path / "keys")
    keys = settings.keys()
    gateway = await open_gateway(ScriptedStream(words), secret, requests_per_minute=8)
    replies = [
        await gateway.chat(key=secret),
        await gateway.chat(key=secret + "x"),
        await gateway.chat("break", key=secret),
        await gateway.chat("one break", stream=True, key=secret),
        await gateway.chat(model="other", key=secret),
        await gateway.chat(temperature=secret, key=secret),
        await gateway.ask("/nowhere", key=secret),
        await gateway.ask("/v1/chat/completions", data=b"{", key=secret),
        *[await gateway.chat(key=secret) for _ in range(8)],
        await gateway.ask("/metrics", key=secret),
    ]
    assert {reply.status for reply in replies} == {200, 400, 401, 404, 429, 500}
    seen = [f"{reply.text}{reply.headers}" for reply in replies]
    seen += [
        repr(keys),
        str(vars(keys)),
        repr(settings),
        settings.model_dump_json(),
        repr(pickle.dumps((keys, settings))),
    ]
    seen += [
        *(record.getMessage() + str(record.exc_text) for record in caplog.records),
        *capfd.readouterr(),
    ]
    assert "program" in "".join(
        seen
    )  # the log was really looked at: the reason of a failure stands there
    assert not [text for text in seen if secret in text]
