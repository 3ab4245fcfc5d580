"""``/ops``: the shell is open and empty; its figures are for a token of the whole clinic, and of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from bentos.auth import keys
from pipelines.monitoring.operations.build import write_operations
from pmlm.operations_types import Operations, operations_path
from pmlm.settings import Settings
from tests.contract.browser import CONTRASTS, chromium, opened
from tests.contract.three_women import ADA, IDENTIFIERS, NIGHT
from tests.unit.pipelines.monitoring.operations.written_nights import write_clinic

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipelines.packaging.running_endpoint import RunningEndpoint

FIGURES = "/ops/figures"


@pytest.fixture(scope="module")
def written(settings: Settings) -> Operations:
    """The clinic's own first night, as its stages have written it."""
    return write_operations(settings)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


def test_the_figures_are_served_as_written_as_page_and_as_json(caller: httpx.Client, written: Operations) -> None:
    found = caller.get(FIGURES, headers={"accept": "application/json"})
    assert (found.status_code, found.headers["cache-control"]) == (200, "no-store")
    assert Operations.model_validate(found.json()) == written
    assert [night.night for night in written.nights] == [NIGHT]
    page = caller.get(FIGURES)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert f'<tr id="night-{NIGHT}">' in page.text
    for identifier in IDENTIFIERS:
        assert identifier not in page.text + found.text


def test_without_a_token_or_with_a_patients_there_are_no_figures(
    endpoint: RunningEndpoint, settings: Settings, caller: httpx.Client, written: Operations
) -> None:
    assert NIGHT not in httpx.get(f"{endpoint.url}/ops", trust_env=False).text
    assert httpx.get(f"{endpoint.url}{FIGURES}", trust_env=False).status_code == 401
    for scopes, patients in ((("patient/*.rs",), [settings.subject_id(ADA)]), (("system/Observation.rs",), None)):
        token = keys.mint(settings, "one", scopes, patients, 1)
        refused = caller.get(FIGURES, headers={"authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
        assert NIGHT not in refused.text
    assert caller.post(FIGURES).status_code in (404, 405)


def test_before_the_first_night_the_page_says_what_to_run(
    caller: httpx.Client, settings: Settings, written: Operations
) -> None:
    away = operations_path(settings).rename(operations_path(settings).with_suffix(".away"))
    try:
        assert "pmlm night" in caller.get(FIGURES).text
    finally:
        away.rename(operations_path(settings))


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_pictures_in_a_browser_and_a_mark_leads_to_its_line(
    browser: Browser, endpoint: RunningEndpoint, settings: Settings, written: Operations, width: int
) -> None:
    elsewhere = settings.model_copy(update={"home": settings.home / f"many-{width}"})
    write_clinic(elsewhere)
    many = write_operations(elsewhere)
    operations_path(settings).write_text(many.model_dump_json())
    found = opened(browser, f"{endpoint.url}/ops#token={keys.development_token(settings)}", width)
    page = found.page
    page.wait_for_selector("#shown svg")
    assert page.url == f"{endpoint.url}/ops"
    assert page.locator("#shown svg").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "only pictures and tables scroll"
    too_faint = [one for one in page.evaluate(CONTRASTS) if one[1] < one[2]]
    assert too_faint == []
    page.locator(f'a[href="#night-{many.nights[0].night}"]').first.click()
    assert page.locator(f"#night-{many.nights[0].night} code").is_visible()
    assert found.complaints == []
    operations_path(settings).write_text(written.model_dump_json())
