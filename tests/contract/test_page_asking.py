"""Asking on the page: the answer as it comes, past questions, the patient search, the keyboard, a dark theme."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bentos.auth import keys
from pmlm.settings import Settings
from tests.contract.browser import ANSWERED, CONTRASTS, SECONDS, Opened, chromium, opened
from tests.contract.three_women import ADA

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from pipelines.packaging.running_endpoint import RunningEndpoint

TIRED = "Is it normal to feel this tired?"
HEADACHE = "Can I take ibuprofen for my headache?"
CHAT = "**/v1/chat/completions"
#: Collects every text that stands in the answer while it is still coming.
WATCH = """() => {
  window.shown = [];
  const box = document.getElementById("answer");
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (box.getAttribute("aria-busy") === "true") window.shown.push(node.textContent);
    }
  }).observe(box, { childList: true });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def asked(browser: Browser, endpoint: RunningEndpoint, settings: Settings) -> Opened:
    """A page on which Ada's question was asked by keyboard alone."""
    found = opened(browser, f"{endpoint.url}/#token={keys.development_token(settings)}")
    page = found.page
    page.wait_for_selector("#patient option", state="attached")
    page.fill("#search", "pregnant weeks")
    page.press("#search", "Enter")
    page.evaluate(WATCH)
    page.keyboard.type(TIRED)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(ANSWERED, timeout=SECONDS)
    return found


@pytest.fixture
def page(asked: Opened) -> Page:
    return asked.page


def test_an_answer_grows_while_it_comes(page: Page) -> None:
    whole, shown = page.inner_text("#answer"), page.evaluate("window.shown")
    grown = [text for text in shown if text != "…"]
    assert len(grown) > 1
    assert grown == sorted(set(grown), key=len)
    assert all(whole.startswith(text.strip()) for text in grown)


def test_every_text_can_be_read_in_the_dark(page: Page) -> None:
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    try:
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 80
        assert [found for found in contrasts if found[1] < found[2]] == []
    finally:
        page.emulate_media(color_scheme="light")


def test_a_search_narrows_the_list_and_asks_nothing(page: Page) -> None:
    page.fill("#search", "")
    everybody = page.locator("#patient option").all_inner_texts()
    page.fill("#search", "PREGNANT weeks")
    narrowed = page.locator("#patient option").all_inner_texts()
    assert narrowed == [text for text in everybody if "weeks" in text and "pregnant" in text]
    assert 0 < len(narrowed) < len(everybody)
    assert page.inner_text("#matches") == f"{len(narrowed)} of {len(everybody)} match."
    page.fill("#search", "nobody at all")
    assert page.locator("#patient option").count() == 0
    page.fill("#search", "")
    assert page.locator("#patient option").all_inner_texts() == everybody


def test_a_patient_found_by_a_search_stays_chosen_when_it_is_over(page: Page) -> None:
    first = page.input_value("#patient")
    others = page.locator("#patient option").evaluate_all("all => all.map((one) => [one.value, one.textContent])")
    wanted, entry = next((value, text) for value, text in others if value != first)
    page.fill("#search", entry.split(" · ")[0])
    assert page.input_value("#patient") == wanted
    page.fill("#search", "")
    assert page.input_value("#patient") == wanted
    page.select_option("#patient", first)


def test_the_questions_offered_are_of_the_patient_whom_the_reference_names(page: Page) -> None:
    with page.expect_request("**/page/api/questions") as asked:
        page.fill("#reference", f"Patient/{ADA}")
        page.press("#reference", "Tab")
    assert asked.value.post_data_json == {"patient": f"Patient/{ADA}"}
    with page.expect_request("**/page/api/questions") as asked:
        page.fill("#reference", "")
        page.press("#reference", "Tab")
    assert asked.value.post_data_json == {"patient": page.input_value("#patient")}


def test_questions_are_remembered_by_patient_and_asked_again_by_a_click(page: Page) -> None:
    first = page.input_value("#patient")
    page.fill("#reference", f"Patient/{ADA}")
    assert page.is_hidden("#asked")
    page.fill("#question", HEADACHE)
    page.click("#go")
    page.wait_for_selector(ANSWERED, timeout=SECONDS)
    assert page.locator("#history button").all_inner_texts() == [HEADACHE]
    page.fill("#reference", "")
    assert page.input_value("#patient") == first
    assert page.locator("#history button").all_inner_texts() == [TIRED]
    page.click("#history button")
    page.wait_for_selector("#result:not([hidden])", timeout=SECONDS)
    page.wait_for_selector(ANSWERED, timeout=SECONDS)
    assert page.input_value("#question") == TIRED
    assert page.locator("#history button").count() == 1
    stored = page.evaluate("JSON.stringify([{...localStorage}, Object.keys(sessionStorage)])")
    assert json.loads(stored) == [{}, ["pmlm-token"]]


def test_nothing_went_wrong(asked: Opened) -> None:
    assert asked.complaints == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, 'data: {"choices": [{"index": 0, "delta": {"content": "Take two "}}]}\n\n'),
        (200, 'data: {"error": {"message": "truncated"}}\n\ndata: [DONE]\n\n'),
        (502, '{"error": {"message": "the language model cannot be reached at the moment"}}'),
    ],
    ids=["broken", "refused midway", "refused"],
)
def test_no_part_of_an_answer_is_shown_for_the_whole(page: Page, status: int, body: str) -> None:
    page.route(CHAT, lambda route: route.fulfill(status=status, body=body, content_type="text/event-stream"))
    page.fill("#question", TIRED)
    page.click("#go")
    page.wait_for_selector(ANSWERED, timeout=SECONDS)
    assert page.inner_text("#answer").startswith("The language model gave no answer.")
    assert "Take two" not in page.inner_text("#answer")
    assert page.is_hidden("#feedback")
    assert page.is_visible("#prompt .self")
    page.unroute(CHAT)


def test_in_an_emergency_a_refused_chat_leaves_what_to_do(page: Page) -> None:
    page.route(CHAT, lambda route: route.fulfill(status=503, body='{"error": {"message": "overloaded"}}'))
    page.fill("#question", "My baby hasn't moved since breakfast.")
    page.click("#go")
    page.wait_for_selector(ANSWERED, timeout=SECONDS)
    assert page.inner_text("#answer") == page.inner_text("#banner p")
    assert page.inner_text("#answer-hint") == "A fixed safety text: no language model was asked."
    assert page.locator("#measure").count() == 0
    page.unroute(CHAT)


def test_signing_out_leaves_nothing_of_the_patients_asked_about(page: Page, settings: Settings) -> None:
    page.click("#sign-out")
    page.route("**/page/api/patients", lambda route: route.fulfill(status=503, body="{}"))
    page.fill("#token", keys.development_token(settings))
    page.click("#sign-in button")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.locator("#history button, #patient option, #answered button").count() == 0
    assert [page.input_value(f"#{field}") for field in ("search", "reference", "question")] == ["", "", ""]
    page.unroute("**/page/api/patients")
