"""The documentation's pictures of the page, taken in a real browser of the clinic at hand (``make screenshots``).

Runs only where ``PMLM_SCREENSHOTS`` names the folder to write to, so that a test run leaves the repository as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from bentos.auth import keys
from pmlm.settings import load_settings
from tests.contract.browser import PHONE, WIDE, Opened, chromium, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = os.environ.get("PMLM_SCREENSHOTS")
QUESTION = "Is it normal to feel this tired?"
PREGNANT = re.compile(r"She is \d+ weeks")
EMERGENCY = "My baby hasn't moved since breakfast."

pytestmark = pytest.mark.skipif(not FOLDER, reason="PMLM_SCREENSHOTS names no folder: no picture is taken")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, str]]:
    """The served clinic's link, and a patient whose page has something to show: pregnant, a change, peers."""
    from pipelines.packaging import serving

    settings = load_settings()
    token = keys.development_token(settings)
    running = serving.find_running_endpoint(settings)
    with nullcontext(running) if running else serving.serve_temporarily(settings) as endpoint:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=endpoint.url, headers=headers, timeout=60, trust_env=False) as client:
            listed = client.post("/page/api/patients", json={"limit": 200}).json()["patients"]
            pregnant = [p["reference"] for p in listed if PREGNANT.match(p["pregnancy"])]
            patient = max(pregnant, key=lambda reference: _telling(client, reference))
        yield f"{endpoint.url}/#token={token}", patient


def _telling(client: httpx.Client, reference: str) -> tuple[bool, float]:
    """Whether there are peers to draw, and how far her most changed signal has left her band."""
    record = client.post("/page/api/record", json={"patient": reference}).json()
    left = [abs(t["change"]["z"]) for t in record["trajectories"] if t["change"] and t["change"]["outside"]]
    return record["peers"]["count"] > 0, max(left, default=0.0)


def _save(found: Opened, name: str, *places: str) -> None:
    """Save the picture of these places of the page, from the first's top to the last's bottom; of the window if none.

    The sentence's sources are a sticky panel: the page is scrolled to the top, so that it stands where it belongs.
    """
    assert FOLDER is not None
    found.page.evaluate("window.scrollTo(0, 0)")
    boxes = [found.page.locator(place).bounding_box() for place in places]
    clip = None
    if boxes:
        top, bottom = boxes[0]["y"] - 8, boxes[-1]["y"] + boxes[-1]["height"] + 8
        clip = {"x": 0, "y": top, "width": found.page.viewport_size["width"], "height": bottom - top}
    path = Path(FOLDER) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    found.page.screenshot(path=path, clip=clip, full_page=clip is not None)
    assert path.stat().st_size > 10_000


def _asked(browser: Browser, address: tuple[str, str], question: str, width: int) -> Opened:
    link, patient = address
    found = opened(browser, link, width)
    found.page.wait_for_selector("#patient option", state="attached")
    found.page.select_option("#patient", patient)
    found.ask(question)
    return found


def test_pictures_of_a_question(browser: Browser, address: tuple[str, str]) -> None:
    found = _asked(browser, address, QUESTION, WIDE)
    found.page.click("#prompt .self")
    found.page.wait_for_selector("#sources :is(td, .hint)")
    found.page.set_viewport_size({"width": WIDE, "height": 1500})
    _save(found, "page-wide")
    _save(found, "page-sources", "section:has(#prompt)")
    _save(found, "page-trajectory", ".pair:has(#trajectory)")
    found.page.click("#measure")
    found.page.wait_for_selector(".measured", timeout=120_000)
    _save(found, "page-decisions", "#decisions")
    assert found.complaints == []


def test_picture_of_an_emergency(browser: Browser, address: tuple[str, str]) -> None:
    _save(_asked(browser, address, EMERGENCY, WIDE), "page-emergency", "#ask", "section.pair")


def test_picture_of_a_phone(browser: Browser, address: tuple[str, str]) -> None:
    found = _asked(browser, address, QUESTION, PHONE)
    found.page.set_viewport_size({"width": PHONE, "height": 1600})
    _save(found, "page-phone")
