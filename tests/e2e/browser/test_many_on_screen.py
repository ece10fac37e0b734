"""A job with ten thousand candidates: the page draws a part, and the rest is there to be scrolled
to. How soon it is on the screen is tests/benchmarks/page.py's to say.
"""

from pathlib import Path

import pytest

from cluster.service.backends.archive import ArchiveBackend
from tests.e2e.browser.conftest import ScreenOf, ServeBackend
from tests.e2e.browser.screen import Screen
from tests.unit.cluster.service.many import CHILDREN, ROUNDS, TRIAL, write_many

VIEWS = {
    "job": ("", "main .plot canvas"),
    "lineage": (f"/lineage?trial={TRIAL}", "[role=treeitem]"),
    "candidates": (f"/candidates?trial={TRIAL}", "tbody tr:nth-child(20)"),
}


@pytest.fixture(scope="module")
def address(serve: ServeBackend, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("many")
    write_many(folder)
    return serve(ArchiveBackend([folder]))


def only_job(screen: Screen) -> str:
    screen.open("/")
    return str(screen.api("/v1/optimizations")["data"][0]["id"])


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_only_a_part_is_drawn(screen_of: ScreenOf, address: str, view: str) -> None:
    screen, (path, shows) = screen_of(address), VIEWS[view]
    screen.open(f"/jobs/{only_job(screen)}{path}", shows)
    assert 0 < len(screen.all("main tbody tr, [role=treeitem]")) < 200
    screen.picture(f"many-{view}-light")


@pytest.mark.slow
def test_its_table_scrolls_to_the_end(screen_of: ScreenOf, address: str) -> None:
    screen = screen_of(address)
    screen.open(f"/jobs/{only_job(screen)}/candidates?trial={TRIAL}", "tbody tr:nth-child(20)")
    screen.asked("document.querySelector('.scroll.tall').scrollTop = 1e7")
    last = str(ROUNDS * CHILDREN + 2)
    screen.until(lambda: screen.all(f"tbody tr[aria-rowindex='{last}']"), "the last row")
    assert len(screen.all("tbody tr")) < 100
