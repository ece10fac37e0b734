"""The README's picture of a job's page, of a results folder as it stands.

    promptray run tune_configs/quickstart.yaml --task navigate --seed 0 --out /tmp/first
    python -m tests.benchmarks.picture /tmp/first cluster/service/picture.png

A script, no test.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from cluster.service.backends.archive import ArchiveBackend
from cluster.service.core.backend import Caller
from cluster.service.show import shown_app
from serving.storage import open_folder
from tests.e2e.browser.screen import Screen, chromium
from tests.unit.cluster.service.http.conftest import served

WIDTH, HEIGHT = 1366, 900
SETTLED_S = 1.0
"""Charts are drawn anew when the page has its size."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A picture of a job's page.")
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="picture-") as place:
        folder = Path(place)
        for name in ("profile", "downloads"):
            (folder / name).mkdir()
        slot_server = ArchiveBackend([given.results])
        job = asyncio.run(slot_server.page(Caller("", admin=True), None, 1)).data[0].id
        driver = chromium(folder / "profile", folder / "downloads")
        with served(shown_app(slot_server, open_folder(folder / "storage"))) as address, driver:
            screen = Screen(driver, address, folder / "pictures", folder / "downloads")
            screen.colours("light")
            screen.sized(WIDTH, HEIGHT)
            screen.open(f"/jobs/{job}", ".plot canvas")
            screen.find(".best-of-task")
            time.sleep(SETTLED_S)
            driver.save_screenshot(str(given.picture))


if __name__ == "__main__":
    main()
