"""The page beside an answer: words that stand in a fact, the clinician's own reply, a link that asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bentos.auth import keys
from pmlm.settings import Settings
from tests.contract.browser import chromium, opened
from tests.contract.three_women import ADA, ANSWERED, WRITTEN

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipelines.packaging.running_endpoint import RunningEndpoint

TIRED = "Is it normal to feel this tired?"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def link(endpoint: RunningEndpoint, settings: Settings) -> str:
    return f"{endpoint.url}/#token={keys.development_token(settings)}"


def test_words_of_the_answer_that_stand_in_a_fact_are_marked(browser: Browser, link: str, caller: Any) -> None:
    found = opened(browser, link)
    found.page.wait_for_selector("#patient option", state="attached")
    found.ask(TIRED, f"Patient/{ADA}")
    page = found.page
    segments = caller.post("/personalize", json={"patient": f"Patient/{ADA}", "question": TIRED}).json()["segments"]
    facts = {s["key"]: s["text"].lower() for s in segments if s["kept"]}
    marked = page.eval_on_selector_all("#answer mark", "all => all.map((e) => [e.textContent, e.dataset.fact])")
    assert {"penicillin", "pregnant"} <= {word for word, _ in marked}
    assert [(word, fact) for word, fact in marked if word.lower() not in facts[fact]] == []
    assert page.locator("#plain mark").count() == 0
    assert "facts of the refined prompt" in page.inner_text("#answer-hint")


def test_a_link_may_ask_a_question_that_a_clinician_has_answered(
    browser: Browser, link: str, settings: Settings
) -> None:
    found = opened(browser, f"{link}&patient=subject:{settings.subject_id(ADA)}&question={ANSWERED}")
    page = found.page
    page.wait_for_selector("#plain[aria-busy=false]", timeout=60_000)
    assert page.input_value("#question") == ANSWERED
    assert ANSWERED in page.inner_text("#answered")
    rows = page.eval_on_selector_all("#reply tbody tr", "all => all.map((e) => e.textContent)")
    assert len(rows) == len(WRITTEN)
    assert all(sentence in row for sentence, row in zip(WRITTEN, rows, strict=True))
    assert "none that is clear" in rows[-1]
    assert "Facts behind the reply: 2." in page.inner_text("#reply-sum")
    assert found.complaints == []
