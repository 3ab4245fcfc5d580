"""The page in a real browser: signing in, one question and its reasons, red flags first, a phone, a keyboard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bentos.auth import keys
from models.safety.escalation import ESCALATION
from pmlm.settings import Settings
from tests.contract.browser import CONTRASTS, PHONE, Opened, chromium, opened
from tests.contract.three_women import ADA, BEA, IDENTIFIERS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

    from pipelines.packaging.running_endpoint import RunningEndpoint

TIRED = "Is it normal to feel this tired?"
CANARY = "</p><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>canary"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def link(endpoint: RunningEndpoint, settings: Settings) -> str:
    return f"{endpoint.url}/#token={keys.development_token(settings)}"


@pytest.fixture(scope="module")
def answered(browser: Browser, link: str) -> Opened:
    """Ada's question, asked once and looked at by several tests."""
    found = opened(browser, link)
    found.ask(TIRED, f"Patient/{ADA}")
    return found


@pytest.fixture
def page(answered: Opened) -> Page:
    return answered.page


def test_a_link_signs_in_and_its_token_leaves_the_address(
    browser: Browser, link: str, endpoint: RunningEndpoint
) -> None:
    found = opened(browser, link)
    found.page.wait_for_selector("#patient option", state="attached")
    assert found.page.url == f"{endpoint.url}/"
    assert found.page.locator("#patient option").count() == 3
    assert "not a medical device" in found.page.inner_text(".notice").lower()
    assert "synthetic" in found.page.inner_text(".notice")
    found.page.reload()
    found.page.wait_for_selector("#patient option", state="attached")  # this tab's session holds on to it
    assert found.complaints == []


def test_without_a_token_there_is_only_the_way_in(browser: Browser, endpoint: RunningEndpoint) -> None:
    found = opened(browser, endpoint.url)
    assert found.page.is_hidden("#ask")
    found.page.fill("#token", "no-token-at-all")
    found.page.press("#token", "Enter")
    found.page.wait_for_selector("#problem:not([hidden])")
    assert found.page.is_visible("#sign-in")
    assert found.page.locator("#patient option").count() == 0


def test_a_token_for_one_patient_lists_her_alone(
    browser: Browser, endpoint: RunningEndpoint, settings: Settings
) -> None:
    subject = settings.subject_id(BEA)
    token = keys.mint(settings, "bea", ("patient/*.rs",), [subject], 1)
    found = opened(browser, f"{endpoint.url}/#token={token}")
    found.page.wait_for_selector("#patient option", state="attached")
    listed = found.page.eval_on_selector_all("#patient option", "options => options.map((o) => o.value)")
    assert listed == [f"subject:{subject}"]
    found.page.fill("#reference", f"Patient/{ADA}")
    found.page.fill("#question", TIRED)
    found.page.click("#go")
    assert "does not open" in found.page.wait_for_selector("#problem:not([hidden])").inner_text()
    assert found.page.is_hidden("#result")


def test_both_answers_and_every_kept_sentence_are_shown(page: Page, caller: Any) -> None:
    words = caller.post("/personalize", json={"patient": f"Patient/{ADA}", "question": TIRED}).json()
    stays = {s["key"]: s for s in words["segments"] if s["kept"]}
    shown = page.eval_on_selector_all(
        "#prompt [data-key]", "all => all.map((e) => [e.dataset.key, e.className, e.textContent])"
    )
    assert {key for key, _, _ in shown} == set(stays)
    for key, classes, text in shown:
        assert stays[key]["text"] in text
        assert ("pinned" if stays[key]["pinned"] else "self") in classes.split()
    assert page.inner_text("#prompt .style") == words["prompt"].splitlines()[-1]
    lines = page.eval_on_selector_all("#prompt > *", "all => all.map((e) => e.textContent)")
    assert lines == [line for line in words["prompt"].splitlines() if line.strip()]
    assert len(page.inner_text("#answer")) > 20
    assert len(page.inner_text("#plain")) > 20
    assert words["versions"]["release"] in page.inner_text("#versions")


def test_a_sentence_leads_to_the_entries_behind_it(page: Page) -> None:
    page.click("#prompt [data-key=allergies]")
    page.wait_for_selector("#sources table")
    assert "penicillin V" in page.inner_text("#sources td")
    page.click("#decisions button:has-text('haemoglobin 9.8')")
    page.wait_for_selector("#sources td:has-text('9.8 g/dL')")
    row = page.inner_text("#sources tbody tr")
    assert "12 days ago" in row
    assert "week 28" in row
    page.click("#prompt [data-key=safety]")
    page.wait_for_selector("#sources:has-text('reviewed by people')")


def test_what_was_left_out_is_shown_and_can_be_measured(page: Page) -> None:
    stays = page.locator("#decisions table").first.locator("tbody tr").count()
    assert stays == page.locator("#prompt .self").count()
    assert page.locator("#decisions table").nth(1).locator("tbody tr").count() > 3
    page.fill("#preferred", "Your haemoglobin is 9.8, so take your iron tablets.")
    page.click("#measure")
    page.wait_for_selector(".measured", timeout=60_000)
    assert "your own reply" in page.inner_text(".measured >> nth=0")
    effects = page.eval_on_selector_all("#decisions td:last-child", "all => all.map((e) => e.textContent)")
    assert len([e for e in effects if e not in ("–", "0.000")]) >= stays


def test_the_trajectory_marks_the_change_and_few_peers_are_no_peers(page: Page) -> None:
    assert "outside her own band" in page.inner_text("#trajectory .found")
    assert page.locator("#trajectory circle.changed").count() == 1
    assert page.locator("#trajectory svg").get_attribute("aria-label").startswith("haemoglobin: fell 3.0 g/dL")
    assert "Fewer than 10" in page.inner_text("#peers")
    assert page.locator("#peers svg").count() == 0


def test_every_text_can_be_read(page: Page) -> None:
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 80
    assert [found for found in contrasts if found[1] < found[2]] == []


def test_nothing_names_her_and_nothing_went_wrong(answered: Opened) -> None:
    text = answered.page.inner_text("body")
    for identifier in IDENTIFIERS:
        assert identifier not in text
    assert answered.complaints == []


def test_feedback_reaches_the_store(page: Page, settings: Settings) -> None:
    before = set(_feedback(settings))  # other tests of this endpoint speak to the same store
    page.click("#thumb-down")
    page.fill("#comment", "Too vague.")
    page.fill("#preferred", "Take your iron tablets, and come on Monday.")
    page.click("#feedback button[type=submit]")
    page.wait_for_selector("#feedback [role=status]:has-text('next night')")
    words = [json.loads(line) for line in _feedback(settings) if line not in before]
    assert {one["kind"] for one in words} >= {"thumbs", "edit"}
    assert {one["by"] for one in words} == {"clinician"}


def test_a_clinician_says_that_one_fact_is_wrong(page: Page, settings: Settings) -> None:
    line = page.locator("#beliefs li:has-text('anemia')")
    line.locator("button").click()
    line.locator("textarea").fill("It was ruled out.")
    line.locator("button[type=submit]").click()
    page.wait_for_selector("#beliefs [role=status]:has-text('next night')")
    (path,) = (settings.workspace / "feedback" / "disputes").glob("*.jsonl")
    assert "condition:SNOMED//271737000" in path.read_text()
    assert "ruled out" not in path.read_text()


def _feedback(settings: Settings) -> list[str]:
    files = sorted((settings.workspace / "feedback").glob("*.jsonl"))
    return [line for file in files for line in file.read_text().splitlines()]


def test_a_red_flag_stands_first_and_a_phone_and_a_keyboard_are_enough(browser: Browser, link: str) -> None:
    found = opened(browser, link, PHONE)
    page = found.page
    page.wait_for_selector("#patient option", state="attached")
    page.fill("#reference", f"Patient/{ADA}")
    page.focus("#question")
    page.keyboard.type("My baby hasn't moved since breakfast.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#banner.emergency")  # before any language model has answered
    page.wait_for_selector("#plain[aria-busy=false]", timeout=120_000)
    assert ESCALATION["en"]["emergency"] in page.inner_text("#banner")
    assert page.inner_text("#answer").startswith(ESCALATION["en"]["emergency"])
    assert "no language model was asked" in page.inner_text("#answer-hint")
    tops = [page.locator(s).bounding_box()["y"] for s in ("#banner", "#answer", "#prompt", "#decisions", "#versions")]
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    page.focus("#prompt [data-key=pregnancy]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#prompt [data-key=pregnancy][aria-pressed=true]")
    page.wait_for_selector("#sources td")
    assert found.complaints == []


def test_chinese_says_every_fixed_text(browser: Browser, link: str) -> None:
    page = opened(browser, link).page
    english = page.eval_on_selector_all("[data-word]", "all => all.map((e) => e.textContent)")
    page.select_option("#language", "zh")
    page.wait_for_selector("html[lang=zh-CN]")
    chinese = page.eval_on_selector_all("[data-word]", "all => all.map((e) => e.textContent)")
    assert len(chinese) == len(english) > 20
    assert not set(chinese) & set(english)
    assert all(any("一" <= c <= "鿿" for c in text) for text in chinese)


@pytest.fixture
def unreadable(settings: Settings, caller: Any) -> Iterator[None]:
    """The feature store's file is no database; it is again, and read again, when the test ends."""
    database = settings.feast / "online.db"
    content = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    yield
    database.write_bytes(content)
    until = time.monotonic() + 20
    while caller.get("/readyz").json()["features"] != "readable" and time.monotonic() < until:
        time.sleep(0.2)


@pytest.mark.usefixtures("unreadable")
def test_an_answer_without_her_features_says_so_plainly_in_both_languages(browser: Browser, link: str) -> None:
    found = opened(browser, link)
    page = found.page
    words = {}
    for language in ("en", "zh"):
        page.select_option("#language", language)
        page.wait_for_selector("#patient option", state="attached")  # whom to ask about is told without features
        page.fill("#reference", f"Patient/{ADA}")
        page.fill("#question", TIRED)
        page.click("#go")
        page.wait_for_selector("#degraded:not([hidden])", timeout=60_000)
        words[language] = page.inner_text("#degraded")
        assert page.is_hidden("#decisions")
        assert page.is_hidden("#drawn")
        assert page.is_hidden("#impersonal")
    assert "cannot be read at the moment" in words["en"]
    assert "无法读取" in words["zh"]
    assert [c for c in page.evaluate(CONTRASTS) if c[1] < c[2]] == []
    page.wait_for_selector("#answer[aria-busy=false]", timeout=120_000)
    assert len(page.inner_text("#answer")) > 20
    assert page.is_hidden("#problem")
    assert found.complaints == []


def _poisoned(value: Any) -> Any:
    """The same answer with the canary in every text that the page could show."""
    if isinstance(value, dict):
        fixed = {"language", "kind", "key", "sources", "answer_id", "reference", "direction"}
        fixed |= {"label"} if "sign" in value else set()
        return {name: inner if name in fixed else _poisoned(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_poisoned(inner) for inner in value]
    return f"{value} {CANARY}" if isinstance(value, str) else value


def test_text_is_never_markup(browser: Browser, link: str) -> None:
    found = opened(browser, link)
    page = found.page

    def poison(route: Route) -> None:
        answer = route.fetch()
        clean = answer.json()
        poisoned = _poisoned(clean)
        for before, after in zip(clean.get("segments", ()), poisoned.get("segments", ()), strict=True):
            poisoned["prompt"] = poisoned["prompt"].replace(before["text"], after["text"])
        route.fulfill(response=answer, body=json.dumps(poisoned))

    def poison_stream(route: Route) -> None:
        answer, opening = route.fetch(), '"content":'
        canary = opening + json.dumps(CANARY).removesuffix('"')
        route.fulfill(response=answer, body=answer.text().replace(f'{opening}"', canary))

    for path in ("**/page/api/*", "**/personalize", "**/explain/*", "**/feedback"):
        page.route(path, poison)
    page.route("**/v1/chat/completions", poison_stream)
    page.reload()
    page.wait_for_selector("#patient option", state="attached")
    found.ask(f"{TIRED} {CANARY}", f"Patient/{ADA}")
    page.click("#prompt [data-key=pregnancy]")
    page.wait_for_selector("#sources td")
    for place in ("#answer", "#plain", "#prompt", "#sources", "#decisions", "#trajectory", "#versions", "#patient"):
        assert "canary" in page.text_content(place), place
    assert page.locator("#main img, #main script").count() == 0
    assert page.title() != "owned"
    assert found.complaints == []
