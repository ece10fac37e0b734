"""The browser, and services for its page: a real `promptray up`, and one that plays the course of a
small real search.

With PROMPTRAY_PAGE_URL (and PROMPTRAY_PAGE_KEY) the story is told to a running service instead.
Pictures of each view go to PROMPTRAY_SCREENSHOTS, or to pytest's own folder.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from cluster.service.backends.replay import ReplayBackend
from cluster.service.core.backend import JobBackend
from cluster.service.show import shown_app
from serving.storage import open_folder
from tests.e2e.browser.screen import CHROMIUM, DRIVER, Screen, chromium
from tests.unit.cluster.service.http.conftest import Small, served, small

__all__ = ["small"]
EVERY_S = 0.35
"""Between two events of a played job."""


@dataclass(frozen=True)
class Told:
    """A service that the story is told to."""

    address: str
    key: str = ""
    patience_s: float = 15.0
    """For a job to finish."""


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Chrome]:
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip(
            f"Chromium is not installed: {CHROMIUM} and {DRIVER} come with the packages chromium "
            "and chromium-driver"
        )
    found = chromium(tmp_path_factory.mktemp("profile"), downloads)
    yield found
    found.quit()


ScreenOf = Callable[[str], Screen]


@pytest.fixture
def screen_of(driver: Chrome, tmp_path: Path, downloads: Path) -> Iterator[ScreenOf]:
    """A screen for the page at an address, with nothing left of the test before."""
    yield lambda address: Screen(driver, address, tmp_path / "pictures", downloads)
    for file in downloads.iterdir():
        file.unlink()
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    if driver.current_url.startswith("http"):
        driver.execute_script("sessionStorage.clear(); localStorage.clear()")
    driver.get("about:blank")
    driver.get_log("browser")


ServeBackend = Callable[[JobBackend], str]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeBackend]:
    """The address of a real server over an backend, in a thread of its own."""
    with ExitStack() as open_servers:
        yield lambda backend: open_servers.enter_context(
            served(shown_app(backend, open_folder(str(tmp_path_factory.mktemp("storage")))))
        )


@pytest.fixture(scope="session")
def playing(small: Small, serve: ServeBackend) -> str:
    """A service with a finished job, which plays its course for every new one."""
    return serve(ReplayBackend([small.out], EVERY_S))


@pytest.fixture(
    params=["played", pytest.param("real", marks=[pytest.mark.ray, pytest.mark.timeout(600)])]
)
def told(request: pytest.FixtureRequest) -> Told:
    if request.param == "played":
        return Told(request.getfixturevalue("playing"))
    if address := os.environ.get("PROMPTRAY_PAGE_URL"):
        return Told(address.rstrip("/"), os.environ.get("PROMPTRAY_PAGE_KEY", ""), patience_s=180.0)
    return Told(request.getfixturevalue("running").address, patience_s=180.0)


@pytest.fixture
def screen(screen_of: ScreenOf, playing: str) -> Screen:
    return screen_of(playing)


@pytest.fixture
def shown(screen: Screen) -> str:
    """The id of the job that is finished from the start."""
    screen.open("/")
    return str(screen.api("/v1/optimizations?limit=100")["data"][-1]["id"])
