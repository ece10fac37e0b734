"""How soon the service's page shows a job with ten thousand candidates, in a real Chromium.

    python -m tests.benchmarks.page [--repetitions 5]

A generated results folder is served by `promptray show`'s application in this process. Milliseconds from the navigation's start, by
the browser's own clock, until the job's figures and its table of trials are painted (the first useful paint), and until its lineage
is drawn; the first visit reads the folder, later ones find it read. Goal [ours]: a first useful paint within a second. A script, no
test.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from cluster.service.office import Caller
from cluster.service.show import shown_app
from cluster.service.shown_office import ShownOffice
from serving.storage import open_folder
from tests.service_tests.api.conftest import served
from tests.service_tests.browser.conftest import CHROMIUM, QUIET
from tests.service_tests.many import TRIAL, write_many

SELECTORS = {"useful": "section[aria-labelledby=trials] tbody tr", "lineage": ".tree .node"}
WATCH = """
window.painted = {};
const watch = (name, selector) => {
  const look = () => {
    if (!document.querySelector(selector)) return requestAnimationFrame(look);
    requestAnimationFrame(() => { window.painted[name] = performance.now(); });
  };
  look();
};
""" + "".join(f"watch({json.dumps(name)}, {json.dumps(selector)});" for name, selector in SELECTORS.items())


def visit(browser: Browser, place: str, name: str) -> float:
    """Milliseconds until the part of that name is painted."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(place)
    page.wait_for_selector(SELECTORS[name], timeout=60_000)
    page.wait_for_timeout(300)  # the frame after it
    found = float(page.evaluate("name => window.painted[name]", name))
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="How soon the page shows a job with ten thousand candidates.")
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="page-"))
    write_many(folder / "many")
    office = ShownOffice([folder / "many"])
    job = asyncio.run(office.page(Caller("", admin=True), None, 1)).data[0].id
    table = Table("milliseconds", "first visit", "median of later ones", "worst")
    with (
        served(shown_app(office, open_folder(folder / "storage"))) as address, sync_playwright() as driver,
        driver.chromium.launch(executable_path=CHROMIUM, args=QUIET) as browser,
    ):
        for name, place in (("useful", f"/jobs/{job}"), ("lineage", f"/jobs/{job}/lineage?trial={TRIAL}")):
            first, *later = (visit(browser, address + place, name) for _ in range(given.repetitions + 1))
            table.add_row(name, f"{first:,.0f}", f"{median(later):,.0f}", f"{max(later):,.0f}")
    Console().print(table)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
