"""Identifiers in free text are masked: those that records name, then those with a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.pii_patterns import mask_patterns
from pipelines.records.deidentify.scrub import Scrubber
from pmlm.settings import Settings
from tests.contract.byte_search import contents, found

PATIENT = {
    "id": "c49c4f3c-16d7-4db2-89ea-3973f14f60bb",
    "name": [{"given": ["Ana Luisa"], "family": "O'Torres"}, {"text": "王芳", "family": "王", "given": ["芳"]}],
    "telecom": [{"system": "phone", "value": "555-231-7208"}, {"system": "email", "value": "ana.t@example.com"}],
    "identifier": [{"system": "mrn", "value": "S358785075"}],
    "address": [{"line": ["6503 Gamez Neck"], "city": "Winchester", "postalCode": "01890"}],
    "contact": [{"name": {"text": "Roberto Quill"}}],
}
DOCTOR = {"id": "d1", "name": [{"prefix": ["Dr."], "given": ["Hope"], "family": "Applewhite"}]}
HOSPITAL = {"id": "h1", "name": "Children's Hospital of Winchester"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("scrub")
    return Settings(home=folder, drops=folder, key_dir=folder / "keys")


@pytest.fixture(scope="module")
def index(settings: Settings) -> IdentifierIndex:
    index = IdentifierIndex(settings)
    for kind, resource in (("Patient", PATIENT), ("Practitioner", DOCTOR), ("Organization", HOSPITAL)):
        index.add_resource(resource, kind)
    visit = {"participant": [{"individual": {"reference": "Practitioner/x", "display": "Nurse Zelda Birdsong"}}]}
    index.add_resource(visit, "Encounter")
    index.commit()
    return index


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("I am Ana Luisa O'Torres.", "I am [name]."),
        ("i'm ana, please help", "i'm [name], please help"),
        ("O’Torres's results?", "[name]'s results?"),
        ("我是王芳，头痛", "我是[name]，头痛"),
        ("Call me on (555) 231 7208.", "Call me on [name]."),
        ("Call me on 5552317208.", "Call me on [name]."),
        ("mrn s358785075", "mrn [name]"),
        ("I live at 6503 Gamez Neck, Winchester.", "I live at [name], [name]."),
        ("My husband Roberto drives.", "My husband [name] drives."),
        ("Dr. Applewhite said so", "Dr. [name] said so"),
        ("Nurse Birdsong said so", "Nurse [name] said so"),
        ("born at Children's Hospital of Winchester", "born at [name]"),
        ("I saw Dr Hope yesterday.", "I saw Dr [name] yesterday."),
        ("I hope the children's fever passes. Hope you can help.", None),
        ("Is 120/80 fine at 24 weeks and 61.5 kg?", None),
    ],
)
def test_what_the_record_names_is_masked_and_everyday_words_are_not(
    settings: Settings, index: IdentifierIndex, text: str, left: str | None
) -> None:
    assert Scrubber(index).scrub_message(text, settings.subject_id(PATIENT["id"])) == (left or text)


def test_another_patients_name_is_not_masked(settings: Settings, index: IdentifierIndex) -> None:
    assert Scrubber(index).scrub_message("Roberto drives.", settings.subject_id("another")) == "Roberto drives."


def test_a_terminologys_eponym_outlives_a_clinicians_name(settings: Settings, index: IdentifierIndex) -> None:
    scrubber, subject = Scrubber(index), settings.subject_id(PATIENT["id"])

    assert scrubber.scrub_display("Applewhite syndrome", subject, local=False) == "Applewhite syndrome"
    assert scrubber.scrub_display("seen by Applewhite", subject, local=True) == "seen by [name]"
    assert scrubber.scrub_display("Weight of Ana", subject, local=False) == "Weight of [name]"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("due 2026-11-20", "due [date]"),
        ("due 11/20/2026 or 20.11.26", "due [date] or [date]"),
        ("on 3rd of May, 2026", "on [date]"),
        ("on May 3", "on [date]"),
        ("since March 2025", "since [date]"),
        ("末次月经2025年9月14日", "末次月经[date]"),
        ("write to jane.roe@clinic.example.org", "write to [contact]"),
        ("see https://my.page.com/jane", "see [contact]"),
        ("ring +1 415-555-2671", "ring [contact]"),
        ("my ssn is 536-90-4399", "my ssn is [number]"),
        ("card 4111 1111 1111 1111", "card [number]"),
        ("chart 90817263", "chart [number]"),
        ("I may take 2 tablets of 325 mg, 1000000 units", None),
        ("pain 7/10, 165/112 at 36+2, second pregnancy in March", None),
    ],
)
def test_what_looks_like_an_identifier_is_masked(text: str, left: str | None) -> None:
    assert mask_patterns(text) == (left or text)


@given(text=st.text(alphabet="aAn O'T王芳0123456789-/.@ ,mayM", max_size=60))
def test_scrubbing_twice_changes_nothing_more(text: str, settings: Settings, index: IdentifierIndex) -> None:
    scrubber, subject = Scrubber(index), settings.subject_id(PATIENT["id"])
    once = scrubber.scrub_message(text, subject)

    assert scrubber.scrub_message(once, subject) == once


def test_names_are_stored_as_hashes_that_the_owner_alone_may_read(settings: Settings, index: IdentifierIndex) -> None:
    index.save("20260601")

    [path] = Path(settings.quarantine).rglob("*.parquet")
    assert path.stat().st_mode & 0o777 == 0o600
    assert found(contents(path.read_bytes()), ["Torres", "Gamez", "555-231-7208", "5552317208"]) == set()


def test_no_language_model_is_loaded_and_no_list_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import spacy
    import tldextract

    def never(*_: object, **__: object) -> None:
        raise AssertionError("loaded or fetched")

    monkeypatch.setattr(spacy, "load", never)
    monkeypatch.setattr(tldextract, "extract", never)
    mask_patterns.cache_clear()

    assert mask_patterns("write to jane.roe@clinic.example.org") == "write to [contact]"
