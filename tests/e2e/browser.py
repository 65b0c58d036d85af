"""The dashboards as a person has them: a real Chromium, and everything that it complained about."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PATH = "/control-plane/torghut/quant/"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Others use the cores, too; what waits ends as soon as it may.
SECONDS = 120.0 if "PYTEST_XDIST_WORKER" in os.environ else 90.0


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a new profile; skips the test where there is none."""
    if not CHROMIUM:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page of the dashboards."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """Wait for something true; unlike `wait_for`, the browser goes on meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {seconds:g} s; complaints: {self.complaints}")
            self.page.wait_for_timeout(50)

    def has(self, selector: str, text: str = "") -> bool:
        """Whether an element is there, with a text in it."""
        return any(text in content for content in self.page.locator(selector).all_text_contents())

    def wait_for(self, selector: str, text: str = "", seconds: float = SECONDS) -> None:
        """Wait for such an element."""
        self.wait(lambda: self.has(selector, text), f"{selector} with {text!r}", seconds)

    def state(self) -> str:
        """What the connection says of itself."""
        return self.page.locator(".link-state").get_attribute("data-state") or ""

    def value(self, metric: str) -> str:
        """What a tile shows."""
        return self.page.locator(f'[data-metric="{metric}"] .tile-value').inner_text().strip()


@contextmanager
def tab(
    browser: Browser, url: str, query: str = "", *, context: BrowserContext | None = None, **options: Any
) -> Iterator[Tab]:
    """A page at an address, in a context of its own unless one is given."""
    own = context or browser.new_context(viewport=options.pop("viewport", {"width": 1440, "height": 900}), **options)
    found = Tab(own.new_page())
    page = found.page

    def of_console(message: Any) -> None:
        if message.type in ("error", "warning"):
            found.complaints.append(f"{message.type}: {message.text} {message.location}")

    page.on("console", of_console)
    page.on("pageerror", lambda error: found.complaints.append(f"exception: {error}"))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
    )
    page.goto(f"{url}{PATH}{query}")
    try:
        yield found
    finally:
        page.close()
        if context is None:
            own.close()
