"""How soon the service's page shows a job with ten thousand candidates, in a real Chromium.

    python -m tests.benchmarks.page [--repetitions 5]

A generated results folder is served by `promptray show`'s application in this process. Milliseconds
by the browser's own clock, from the start of the loading to the frame in which all that makes a
view useful stands there: for a job its curves and its table of trials, for the lineage the tree and
the chosen candidate's words. The first visit reads the folder, later ones find it read. Goal
[ours]: within a second. A script, no test.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from cluster.service.backends.archive import ArchiveBackend
from cluster.service.core.backend import Principal
from cluster.service.show import shown_app
from serving.storage import open_folder
from tests.e2e.browser.screen import Screen, chromium
from tests.unit.cluster.service.http.conftest import served
from tests.unit.cluster.service.many import TRIAL, write_many

VIEWS = {
    "job": ("", ["main .plot canvas", "main table a"]),
    "lineage": (f"/lineage?trial={TRIAL}", ["[role=treeitem]", "aside .words"]),
    "candidates": (f"/candidates?trial={TRIAL}", ["tbody tr:nth-child(20)", "aside .words"]),
}
WATCH = """
    const wanted = %s;
    new MutationObserver((_, watch) => {
      if (!wanted.every((one) => document.querySelector(one))) return;
      watch.disconnect();
      requestAnimationFrame(() => setTimeout(() => { window.usefulAt = performance.now(); }));
    }).observe(document, { childList: true, subtree: true });"""


def useful_after_ms(screen: Screen, path: str, shows: list[str]) -> float:
    """From the start of the loading to the frame in which all of it stands there."""
    script = screen.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": WATCH % json.dumps(shows)}
    )
    try:
        screen.driver.get(screen.address + path)
        return float(screen.until(lambda: screen.asked("return window.usefulAt"), path, 60.0))
    finally:
        screen.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="How soon the page shows a job with ten thousand candidates."
    )
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    table = Table("milliseconds", "first visit", "median of later ones", "worst of these")
    with tempfile.TemporaryDirectory(prefix="page-") as place:
        folder = Path(place)
        for name in ("many", "profile", "downloads"):
            (folder / name).mkdir()
        write_many(folder / "many")
        slot_server = ArchiveBackend([folder / "many"])
        job = asyncio.run(slot_server.page(Principal("", admin=True), None, 1)).data[0].id
        driver = chromium(folder / "profile", folder / "downloads")
        with served(shown_app(slot_server, open_folder(folder / "storage"))) as address, driver:
            screen = Screen(driver, address, folder / "pictures", folder / "downloads")
            for view, (path, shows) in VIEWS.items():
                first, *later = (
                    useful_after_ms(screen, f"/jobs/{job}{path}", shows)
                    for _ in range(given.repetitions + 1)
                )
                table.add_row(view, f"{first:,.0f}", f"{median(later):,.0f}", f"{max(later):,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
