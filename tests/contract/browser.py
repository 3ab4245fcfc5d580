"""A real Chromium on the page, for tests: opened signed in, and watched for anything that goes wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
WIDE, PHONE = 1280, 360
ANSWERED = "#plain[aria-busy=false]"
SECONDS = 120_000  # milliseconds: two answers of the embedded model on a busy machine


@dataclass
class Opened:
    """A page and what its console and its errors said."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def ask(self, question: str, patient: str | None = None) -> None:
        """Type a question as a person would and wait until both answers stand there."""
        if patient is not None:
            self.page.fill("#reference", patient)
        self.page.fill("#question", question)
        self.page.click("#go")
        self.page.wait_for_selector(ANSWERED, timeout=SECONDS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium; the test is skipped where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is missing (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, address: str, width: int = WIDE) -> Opened:
    """A page of its own session at ``address``."""
    page = browser.new_context(viewport={"width": width, "height": 900}, locale="en-GB").new_page()
    found = Opened(page)
    page.on("console", lambda m: found.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(address)
    return found


#: For every visible text: its contrast with the ground it stands on, as WCAG 2.2 counts it, and what it must reach.
CONTRASTS = """() => {
  const rgb = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const lum = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c[3] === 1) return c;
    }
    return [255, 255, 255, 1];
  };
  const out = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), e = walker.currentNode.parentElement, s = getComputedStyle(e);
    if (!text || !e.getClientRects().length || s.visibility === "hidden") continue;
    const ink = rgb(e.namespaceURI.endsWith("svg") ? s.fill : s.color);
    const [a, b] = [lum(ink), lum(ground(e))].sort((x, y) => y - x);
    const size = parseFloat(s.fontSize), large = size >= 24 || (size >= 18.66 && s.fontWeight >= 700);
    out.push([text.slice(0, 40), (a + 0.05) / (b + 0.05), large ? 3 : 4.5]);
  }
  return out;
}"""
