"""A page in headless Chromium, as a person uses it: by the names of its buttons, fields and links.

Knows no service.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
AXE = Path(__file__).parent / "axe" / "axe.min.js"
_FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1366,900
    --force-prefers-reduced-motion""".split()
PRESSABLE = "main button, main a, header button, header a, dialog button, main summary"
_NAMED = """
    const [selector, name] = arguments;
    const told = (e) => e.getAttribute("aria-label") || e.textContent;
    return [...document.querySelectorAll(selector)].find((e) => told(e).trim().startsWith(name) && e.getClientRects().length);"""
_SERIOUS = """
    const done = arguments[arguments.length - 1];
    axe.run(document, {resultTypes: ["violations"]}).then((found) => done(found.violations
      .filter((one) => ["serious", "critical"].includes(one.impact))
      .map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`)),
      (problem) => done([String(problem)]));"""


def chromium(profile: Path, downloads: Path) -> Chrome:
    """A browser of its own, with nothing of another one's profile."""
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in [*_FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.add_experimental_option(
        "prefs",
        {"download.default_directory": str(downloads), "download.prompt_for_download": False},
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=Service(str(DRIVER)))


class Screen:
    """What is on the screen."""

    def __init__(
        self,
        driver: Chrome,
        address: str,
        pictures: Path,
        downloads: Path,
        patience_s: float = 10.0,
    ) -> None:
        self.driver, self.address, self.downloads = driver, address, downloads
        self._pictures = Path(os.environ.get("PROMPTRAY_SCREENSHOTS") or pictures)
        self._pictures.mkdir(parents=True, exist_ok=True)
        self._patience_s = patience_s

    def open(self, path: str, shows: str = "main h1") -> None:
        self.driver.get(self.address + path)
        self.find(shows)

    def until(self, look: Callable[[], T], what: str, patience_s: float | None = None) -> T:
        """What `look` gives as soon as it is something."""
        ends_at = time.monotonic() + (patience_s or self._patience_s)
        while not (found := look()):
            if time.monotonic() > ends_at:
                raise AssertionError(
                    f"not seen: {what}\non the page: {self.text()[:2000]}\nconsole: "
                    f"{self.complaints()}"
                )
            time.sleep(0.05)
        return found

    def find(self, selector: str) -> WebElement:
        return self.until(lambda: next(iter(self.all(selector)), None), selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def named(self, name: str, selector: str = PRESSABLE) -> WebElement:
        return self.until(
            lambda: self.driver.execute_script(_NAMED, selector, name), f"{selector} {name!r}"
        )

    def press(self, name: str, **where: str) -> None:
        found = self.named(name, **where)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def fill(self, id: str, text: str) -> None:
        field = self.find(f"#{id}")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def choose(self, id: str, value: str) -> None:
        self.driver.execute_script(
            "const [id, value] = arguments; const e = document.getElementById(id); e.value = value;"
            "e.dispatchEvent(new Event('change', {bubbles: true}))",
            id,
            value,
        )

    def text(self, selector: str = "body") -> str:
        return str(
            self.driver.execute_script(
                "return document.querySelector(arguments[0])?.innerText || ''", selector
            )
        )

    def sees(self, text: str, selector: str = "main", patience_s: float | None = None) -> None:
        self.until(lambda: text in self.text(selector), repr(text), patience_s)

    def asked(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(script, *given)

    def saved(self, ending: str) -> Path:
        """The file that was downloaded last with such a name."""
        return self.until(
            lambda: next(
                (
                    file
                    for file in self.downloads.iterdir()
                    if file.name.endswith(ending) and file.stat().st_size
                ),
                None,
            ),
            f"a file *{ending}",
        )

    def picture(self, name: str) -> None:
        """The whole page, kept for people."""
        height = int(self.asked("return document.documentElement.scrollHeight"))
        width = int(self.asked("return innerWidth"))
        self.sized(width, max(700, min(height, 2400)), phone=width < 500)
        time.sleep(0.15)  # charts are drawn anew for the new size
        self.driver.save_screenshot(str(self._pictures / f"{name}.png"))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def sized(self, width: int, height: int, phone: bool = False) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
        )

    def colours(self, theme: str) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": theme}]},
        )

    def offline(self, cut: bool) -> None:
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": cut, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
        )

    def serious_faults(self) -> list[str]:
        """Of accessibility, as axe-core finds them."""
        self.driver.execute_script(AXE.read_text("utf-8"))
        return list(self.driver.execute_async_script(_SERIOUS))

    def complaints(self) -> list[str]:
        """Of the console since it was asked last: errors, and what the page's policy has refused."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]

    def api(self, path: str) -> Any:
        """An answer of the service, asked for by the page."""
        return json.loads(
            self.driver.execute_async_script(
                "const done = arguments[1]; fetch(arguments[0], {headers: "
                "sessionStorage.getItem('promptray-key')"
                " ? {Authorization: `Bearer ${sessionStorage.getItem('promptray-key')}`} : "
                "{}}).then((a) => a.text())"
                ".then(done)",
                path,
            )
        )
