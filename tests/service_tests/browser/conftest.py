"""A real `promptray up` and a real headless Chromium. Screenshots go to PROMPTRAY_SCREENSHOTS, or to pytest's own folder."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.serving_tests.door.test_on_serve import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
ROOT = Path(__file__).parents[3]
STARTS_WITHIN_S = 120.0
LAPTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium.")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = os.environ.get("PROMPTRAY_SCREENSHOTS")
    folder = Path(place) if place else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass
class Sight:
    """A page in Chromium, with all that went wrong in it."""

    page: Page
    pictures: Path
    errors: list[str]

    def shoot(self, name: str) -> None:
        """As it is, in the dark, and on a phone; each without a fault that hinders people from using it."""
        self._shot(name)
        self.page.emulate_media(color_scheme="dark")
        self._shot(f"{name}-dark")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(PHONE)
        self.page.wait_for_timeout(150)
        self.page.screenshot(path=self.pictures / f"{name}-phone.png")
        wide = self.page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        self.page.set_viewport_size(LAPTOP)
        assert wide <= 0, f"{name} is {wide} pixels too wide for a phone"

    def _shot(self, name: str) -> None:
        self.page.wait_for_timeout(150)
        self.page.screenshot(path=self.pictures / f"{name}.png")
        found = Axe().run(self.page).response["violations"]
        grave = [
            f"{fault['id']}: {node['html'][:160]}" for fault in found if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]]
        assert grave == [], f"{name}: {grave}"


@pytest.fixture
def sight(chromium: Browser, pictures: Path) -> Iterator[Sight]:
    context = chromium.new_context(viewport=LAPTOP, accept_downloads=True, bypass_csp=False)
    page = context.new_page()
    seen = Sight(page, pictures, [])
    page.on("pageerror", lambda problem: seen.errors.append(str(problem)))
    page.on("console", lambda said: seen.errors.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("dialog", lambda dialog: (seen.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield seen
    context.close()
    assert seen.errors == []


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `promptray up` with the built-in models; or of one that runs already, and has no jobs yet."""
    if given := os.environ.get("PROMPTRAY_TESTED_SERVICE"):
        yield given
        return
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    sockets = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: the paths of Ray's sockets have a limit
    others = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    log = folder / "said.txt"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*COMMAND, "up", "--storage", str(folder / "service"), "--port", str(port)], cwd=ROOT, stdout=said,
            stderr=subprocess.STDOUT, env={**others, "RAY_TMPDIR": sockets, "RAY_AUTH_MODE": "disabled"})
    ends_at = time.monotonic() + STARTS_WITHIN_S
    try:
        while "The service of" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends_at, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        shutil.rmtree(sockets, ignore_errors=True)
