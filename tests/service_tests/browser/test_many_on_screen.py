"""A job with ten thousand candidates: how soon there is something useful on the screen. The figures are printed (pytest -s)."""

import pytest

from cluster.service.shown_office import ShownOffice
from tests.service_tests.api.test_many import CHILDREN, ROUNDS, TRIAL, many
from tests.service_tests.browser.conftest import ScreenOf, ServeOffice
from tests.service_tests.browser.screen import Screen

__all__ = ["many"]
VIEWS = {
    "job": ("", "main .plot canvas", "main table a"), "lineage": (f"/lineage?trial={TRIAL}", "[role=treeitem]", "aside .words"),
    "candidates": (f"/candidates?trial={TRIAL}", "tbody tr:nth-child(20)", "aside .words")}
WATCH = """
    const wanted = %s;
    new MutationObserver((_, watch) => {
      if (!wanted.every((one) => document.querySelector(one))) return;
      watch.disconnect();
      requestAnimationFrame(() => setTimeout(() => { window.usefulAt = performance.now(); }));
    }).observe(document, { childList: true, subtree: true });"""


def useful_after_ms(screen: Screen, path: str, *shows: str) -> float:
    """From the start of the loading to the frame in which all of it stands there."""
    script = screen.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH % list(shows)})
    try:
        screen.driver.get(screen.address + path)
        return float(screen.until(lambda: screen.asked("return window.usefulAt"), path))
    finally:
        screen.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.mark.slow
def test_a_useful_picture_comes_within_a_second(screen_of: ScreenOf, serve: ServeOffice, request: pytest.FixtureRequest) -> None:
    screen = screen_of(serve(ShownOffice([request.getfixturevalue("many")])))
    screen.open("/")
    job = screen.api("/v1/optimizations")["data"][0]["id"]
    for view, (path, *shows) in VIEWS.items():
        took = [useful_after_ms(screen, f"/jobs/{job}{path}", *shows) for _ in range(3)]
        print(f"{view}: useful after {', '.join(f'{ms:.0f}' for ms in took)} ms with {ROUNDS * CHILDREN} candidates")
        assert min(took) < 1000, (view, took)
        assert len(screen.all("main tbody tr, [role=treeitem]")) < 200
        screen.picture(f"many-{view}-light")


@pytest.mark.slow
def test_its_table_scrolls_to_the_end(screen_of: ScreenOf, serve: ServeOffice, request: pytest.FixtureRequest) -> None:
    screen = screen_of(serve(ShownOffice([request.getfixturevalue("many")])))
    screen.open("/")
    job = screen.api("/v1/optimizations")["data"][0]["id"]
    screen.open(f"/jobs/{job}/candidates?trial={TRIAL}", "tbody tr:nth-child(20)")
    screen.asked("document.querySelector('.scroll.tall').scrollTop = 1e7")
    last = str(ROUNDS * CHILDREN + 2)
    screen.until(lambda: screen.all(f"tbody tr[aria-rowindex='{last}']"), "the last row")
    assert len(screen.all("tbody tr")) < 100
