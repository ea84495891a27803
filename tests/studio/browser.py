"""A browser without a window, and the few moves that the tests make in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 90
"""Seconds that something on the page may take, on a machine that is busy with other things."""


def programs() -> tuple[str | None, str | None]:
    """A browser and its driver, as far as they are installed."""
    return next((p for name in BROWSERS if (p := shutil.which(name))), None), shutil.which("chromedriver")


def start(browser: str, driver: str) -> webdriver.Chrome:
    """The browser, which may reach this machine only."""
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,900",
        "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking", "--disable-sync",
        "--disable-component-update", "--disable-extensions",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(PATIENCE)
    return opened


class Visit:
    """The page, opened."""

    def __init__(self, driver: webdriver.Chrome, url: str):
        self.driver, self.url = driver, url

    def open(self, query: str = "") -> None:
        """Open it, and wait until it knows its model."""
        self.driver.get(self.url + query)
        self.until(lambda: "parameters" in self.text("o-about"))

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait for something; an error on the page ends the waiting."""

        def check(_: Any) -> Any:
            try:
                return holds() or self.errors()
            except (StaleElementReferenceException, IndexError):  # it is being drawn anew
                return False

        found = WebDriverWait(self.driver, PATIENCE, 0.1).until(check)
        assert not self.errors(), f"the page says: {self.errors()}"
        return found

    def text(self, id_: str) -> str:
        """What an element says."""
        return "".join(e.text for e in self.all(f"#{id_}"))

    def unbroken(self, id_: str) -> str:
        """What an element says, without white space: the name of a file is drawn in two pieces, ending and rest."""
        return "".join(self.text(id_).split())

    def all(self, css: str) -> list[Any]:
        """Elements, seen or not."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def seen(self, css: str) -> list[Any]:
        """Elements that are shown."""
        return [e for e in self.all(css) if e.is_displayed()]

    def errors(self) -> list[str]:
        """What the page complains of."""
        try:
            return [e.text.replace("\n", " ") for e in self.all(".toast-body") if e.is_displayed()]
        except StaleElementReferenceException:  # it was closed while it was read
            return []

    def tab(self, name: str) -> None:
        """Open a tab."""
        (button,) = (e for e in self.seen("#o-tabs button[role=tab]") if e.text == name)
        self.driver.execute_script("arguments[0].click()", button)
        self.until(lambda: self.seen(f"#o-tab-{name.lower()}"))

    def press(self, css: str) -> None:
        """Press the button of a kind that is shown."""
        button = self.until(lambda: self.seen(css))[0]
        self.driver.execute_script("arguments[0].click()", button)

    def write(self, css: str, text: str) -> None:
        """Put text in a field."""
        element = self.until(lambda: self.seen(f"{css} input, {css} textarea"))[0]
        element.send_keys(Keys.CONTROL, "a")
        element.send_keys(text, Keys.TAB)

    def choose(self, label: str, value: str) -> None:
        """Choose from a list."""
        element = self.until(
            lambda: [e for e in self.seen("input[aria-label]") if e.get_attribute("aria-label") == label]
        )[0]
        element.click()
        element.send_keys(Keys.CONTROL, "a")
        element.send_keys(value)
        self.until(lambda: [e for e in self.seen("[role=option]") if e.get_attribute("aria-label") == value])
        element.send_keys(Keys.ENTER)
        self.until(lambda: element.get_attribute("value") == value)

    def give(self, css: str, path: Path) -> None:
        """Give a file."""
        self.all(f"{css} input[type=file]")[0].send_keys(str(path))

    def keys(self, *keys: str) -> None:
        """Press keys together, wherever the page is."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self.driver)
        for key in keys[:-1]:
            chain.key_down(key)
        chain.send_keys(keys[-1])
        for key in reversed(keys[:-1]):
            chain.key_up(key)
        chain.perform()

    def requests(self) -> set[str]:
        """Every address that was asked for since the last look, data in the page itself left out."""
        asked = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.add(message["params"]["request"]["url"])
        return {url for url in asked if not url.startswith(("data:", "blob:", "chrome"))}
