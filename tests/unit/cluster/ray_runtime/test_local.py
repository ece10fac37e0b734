"""A Ray that we start wants a token that nobody else can read.

tests/e2e/service/test_up_killed sees what its ports are bound to.
"""

import os
import stat
from pathlib import Path

import pytest

from cluster.ray_runtime.local import require_token
from cluster.ray_runtime.session import ray_session
from optimizer.errors import SettingsError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a token, and an environment that says nothing of one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    # Other tests of this process may have left theirs running.
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    return tmp_path


@pytest.mark.parametrize("mode", ["disabled", "DISABLED", "none"])
def test_a_ray_without_a_token_is_not_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    with (
        pytest.raises(
            SettingsError, match=f"^RAY_AUTH_MODE={mode} would let [^\n]+: unset it [^\n]+$"
        ),
        ray_session(),
    ):
        pass


def test_a_cluster_that_is_found_keeps_its_own_mode(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(
        "cluster.ray_runtime.session.join",
        lambda address, **given: asked.append({"address": address, **given}),
    )
    with ray_session():
        assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert asked[0]["address"] == "127.0.0.1:1"
    assert "_node_ip_address" not in asked[0]
    assert not (home / ".ray").exists()


@pytest.mark.parametrize("mode", [None, "", "token", "Token"])
def test_the_token_is_for_this_user_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    require_token()
    file = home / ".ray" / "auth_token"
    first = file.read_text()
    assert len(first) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.environ.get("RAY_AUTH_MODE") == (
        mode or None
    )  # Ray turns it on itself where it is not set, not where it is empty
    file.chmod(0o644)  # as Ray leaves it, which makes one itself
    require_token()
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (first, 0o600)
    assert [one.name for one in file.parent.iterdir()] == ["auth_token"]


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_that_the_user_has_named_stands(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "given")
    require_token()
    assert not (home / ".ray").exists()
    assert os.environ[name] == "given"


def test_without_a_home_to_write_to_the_token_is_the_processs_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".ray").write_text("no folder")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr("tempfile.tempdir", None)
    require_token()
    file = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
