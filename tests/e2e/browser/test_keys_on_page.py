"""A service with keys: what the page says without one, and that it sends the one that is entered,
with its event stream too.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.service.access.key_store import add_key
from cluster.service.backends.replay import ReplayBackend
from cluster.service.show import shown_app
from serving.storage import open_folder
from tests.e2e.browser.conftest import ScreenOf
from tests.e2e.browser.screen import Screen
from tests.unit.cluster.service.http.conftest import Small, served


@pytest.fixture
def locked(small: Small, screen_of: ScreenOf, tmp_path: Path) -> Iterator[tuple[Screen, str]]:
    """The page of a service with a key, and that key."""
    storage = open_folder(str(tmp_path / "storage"))
    key = add_key(storage, "ann")[1]
    with served(shown_app(ReplayBackend([small.out], 0.1), storage)) as address:
        yield screen_of(address), key


def enter(screen: Screen, key: str) -> None:
    screen.press("Enter a key")
    screen.fill("key", key)
    screen.press("Use this key")


def test_a_key_opens_the_page(locked: tuple[Screen, str]) -> None:
    screen, key = locked
    screen.open("/")
    screen.sees("Enter a key with the button at the top")
    screen.picture("no-key-light")
    enter(screen, "pr-wrong")
    screen.sees("Enter a key", "header")
    enter(screen, key)
    screen.sees("ann", "header")
    screen.sees("No job yet")
    screen.open("/new", "fieldset")
    screen.asked("document.querySelectorAll('[name=source]')[1].click()")
    screen.find("#generated")
    screen.press("Start")
    screen.sees("succeeded", ".job-head", 15)
    assert len(screen.all(".log li")) > 5
    assert screen.asked("return Object.keys(localStorage).length") == 0
    screen.press("trials.parquet")
    assert screen.saved("trials.parquet").read_bytes().startswith(b"PAR1")
