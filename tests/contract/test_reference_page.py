"""``/docs``: every operation can be read and tried in a browser, and nothing leaves the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from bentos.web.reference import FILES
from tests.contract.browser import SECONDS, chromium, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipelines.packaging.running_endpoint import RunningEndpoint


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def test_every_operation_is_shown_below_its_tag(browser: Browser, endpoint: RunningEndpoint) -> None:
    document = httpx.get(f"{endpoint.url}/openapi.json", trust_env=False).json()
    shown = opened(browser, f"{endpoint.url}/docs")
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    shown.page.reload()
    shown.page.wait_for_selector(".opblock", timeout=SECONDS)
    operations = [(m, path) for path, item in document["paths"].items() for m in item]
    assert shown.page.locator(".opblock").count() == len(operations)
    tags = {tag for item in document["paths"].values() for o in item.values() for tag in o["tags"]}
    assert {t.get_attribute("data-tag") for t in shown.page.locator(".opblock-tag").all()} == tags
    assert all(url.startswith((endpoint.url, "data:")) for url in asked)
    assert shown.complaints == []


def test_a_route_is_tried_without_a_token_and_refused(browser: Browser, endpoint: RunningEndpoint) -> None:
    page = opened(browser, f"{endpoint.url}/docs").page
    page.locator(".opblock", has_text="/personalize").first.click(timeout=SECONDS)
    page.click("button.try-out__btn")
    page.click("button.execute")
    page.wait_for_selector(".live-responses-table .response-col_status", timeout=SECONDS)
    assert "401" in page.inner_text(".live-responses-table")


@pytest.mark.parametrize("path", ["/docs/files/index.css", "/docs/files/..%2fserver.py", "/docs/other"])
def test_no_other_file_is_given(endpoint: RunningEndpoint, path: str) -> None:
    assert httpx.get(f"{endpoint.url}{path}", trust_env=False).status_code in (401, 404)


@pytest.mark.parametrize("name", FILES)
def test_files_have_a_policy_without_scripts_of_others(endpoint: RunningEndpoint, name: str) -> None:
    answer = httpx.get(f"{endpoint.url}/docs/files/{name}", trust_env=False)
    assert answer.status_code == 200
    assert "script-src 'self';" in answer.headers["content-security-policy"]
