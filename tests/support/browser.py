"""Debian's Chromium for tests, driven by Playwright: where it is, and a page that tells of every fault it sees."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

REQUIRED = "EXPLICATE_REQUIRE_CHROMIUM"  # where it is set, as in .ci/run, a missing Chromium fails the test
_PATIENCE_MS = 20_000  # of every wait, on a machine that is busy with other tests
THEMES, WIDTHS = ("light", "dark"), (390, 1440)
_QUIET = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
          "--disable-sync", "--disable-quic")  # fmt: skip
# Set before anything of the page runs: every shift of the layout, but for those that follow an input of the user.
_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) window.shifts.push({value: entry.value, nodes: entry.sources.map((s) =>
    `${s.node?.nodeName}.${s.node?.className?.baseVal ?? s.node?.className} `
    + JSON.stringify([s.previousRect, s.currentRect]))});
})).observe({type: "layout-shift", buffered: true});
"""
# The shell first: a third of the processor time for each page, since it draws no window around it.
_CHROMIUM = ("chromium-headless-shell", "chromium")
_SERIOUS = {"serious", "critical"}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        told = "there is no Chromium here (Debian: apt-get install chromium-headless-shell)"
        if os.environ.get(REQUIRED):
            pytest.fail(told)
        pytest.skip(told)
    sandbox = () if os.geteuid() else ("--no-sandbox",)  # Chromium refuses to run as root with one
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*_QUIET, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page of the console as one visitor sees it.

    faults: what the browser complained of: errors of scripts, of the content policy, requests to elsewhere. expected:
    beginnings of complaints that this test causes itself.
    """

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def open(self, place: str) -> Page:
        """Go to a place such as "#/try" and wait until its page is there."""
        self.page.goto(f"{self.url}/{place}")
        self.page.wait_for_selector("main h1")
        return self.page

    def shifts(self) -> list[dict[str, Any]]:
        """The shifts of the layout so far, each with its size and the elements that moved."""
        found: list[dict[str, Any]] = self.page.evaluate("window.shifts")
        return found

    def inaccessible(self) -> list[str]:
        """Serious findings of axe-core, with the elements."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes']][:4]}"
            for each in found
            if each["impact"] in _SERIOUS
        ]

    def too_wide(self) -> list[str]:
        """Whether the page scrolls sideways: what is wide must scroll in a box of its own."""
        wide, room = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        return [f"the page is {wide} px wide in {room}"] if wide > room + 1 else []

    def unexpected(self) -> list[str]:
        """Faults that the test did not ask for."""
        return [fault for fault in self.faults if not any(map(fault.startswith, self.expected))]


Visitor = Callable[..., AbstractContextManager[Visit]]
"""Opens a fresh visitor's page: `with visitor(url, theme="dark", width=390) as visited`."""


@contextmanager
def visit(browser: Browser, url: str, *, theme: str = "light", width: int = 1440, **context: Any) -> Iterator[Visit]:
    """A fresh visitor; at the end nothing may be left to complain of."""
    made = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        **context,  # type: ignore[arg-type]
    )
    page = made.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    expect.set_options(timeout=_PATIENCE_MS)
    page.add_init_script(_SHIFTS)
    visited = Visit(page, url)
    page.on("pageerror", lambda error: visited.faults.append(f"script: {error}"))
    page.on(
        "console", lambda told: visited.faults.append(f"{told.type}: {told.text}") if told.type == "error" else None
    )
    page.on("request", lambda asked: None if asked.url.startswith((url, "blob:", "data:"))
            else visited.faults.append(f"request to elsewhere: {asked.url}"))  # fmt: skip
    try:
        yield visited
    finally:
        made.close()
    assert visited.unexpected() == [], visited.unexpected()


def screenshot(page: Page, name: str) -> None:
    """A picture below $EXPLICATE_SCREENSHOTS, if that is set: for people to look at, and for docs/console.md."""
    if folder := os.environ.get("EXPLICATE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
