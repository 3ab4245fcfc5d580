"""Sentences on conditions present and absent, medicines, and allergies other than to drugs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from models.fact_disputes import is_disputed
from models.feature_row import has_record, read_number, read_texts
from models.patient.currency import (
    DEFAULT_RULE,
    CurrencyRule,
    RecordEntry,
    list_conditions,
    list_medicines,
    list_suspected,
)
from models.patient.pregnancy_statements import is_week_code
from models.prompt.sentences.pinned import list_allergies
from models.schema import FeatureRow, Segment
from models.templates import format_ago, look_up_label, render_sentence, sanitize_record_text
from models.vocabulary import CONCEPTS, DRUG_CLASSES, Concept, find_concept, find_drug_class

#: Conditions that belong to no concept are listed up to this many, newest first; those of a concept always are.
OTHER_CONDITIONS = 8
MEDICINE_LIMIT = 16
#: The feature holds at most this many conditions: a full list may hide one, so then absence is not claimed.
CONDITIONS_LIMIT = 40
#: What is said of a medicine that is not current, by the reason.
_MEDICINE_SENTENCES = {"not_renewed": "medicine.not_renewed", "supply_ended": "medicine.supply_ended"}

#: Parts of a RxNorm name that say nothing clinical: an application number, the commonest salt, a plain form.
_APPLICATION = re.compile(r"^\s*NDA\d+\s+")
_SALT_OR_FORM = re.compile(r"\s+hydrochloride(?= )|\s+(?:oral |chewable )?(?:tablet|capsule)(?=$| \[)", re.IGNORECASE)
_NOT_CODE = re.compile(r"[^A-Za-z0-9/._-]")


def build_problem_segments(
    row: FeatureRow, as_of: datetime, language: str, rule: CurrencyRule = DEFAULT_RULE
) -> Iterator[Segment]:
    """``condition.*``, ``suspected.*``, ``no.*``, ``medicine.*``, ``medicines.none`` and ``allergy.*`` but for drugs.

    What ``rule`` calls history is said as history, after what is current.
    """
    yield from _conditions(row, as_of, language, rule)
    yield from _suspected(row, as_of, language)
    yield from _absent(row, language)
    yield from _medicines(row, as_of, language, rule)
    for kind in ("food", "environment"):
        found = list_allergies(row, kind)
        if found:
            sentence = render_sentence(f"allergies.{kind}", language, names=[name for name, _ in found])
            yield Segment(f"allergy.{kind}", "record", sentence, False, tuple(s for _, s in found if s))


def _clean_entries(entries: list[RecordEntry]) -> Iterator[tuple[RecordEntry, str]]:
    """Yield each entry with its readable name; those without one are left out."""
    for entry in entries:
        name = sanitize_record_text(_APPLICATION.sub("", entry.text))
        if name:
            yield entry, name


def _segment(key: str, sentence: str, at: datetime | None, as_of: datetime, source: str, otherwise: str) -> Segment:
    days = None if at is None else max(0.0, (as_of - at).total_seconds() / 86400)
    return Segment(key, "record", sentence, False, (source or otherwise,), 0, days)


def _conditions(row: FeatureRow, as_of: datetime, language: str, rule: CurrencyRule) -> Iterator[Segment]:
    seen: set[str] = set()
    for entry, name in _clean_entries(list_conditions(row, as_of, rule)):
        code, at = entry.code, entry.time
        concept = find_concept(code)
        if is_week_code(code) or (concept is not None and concept.name == "pregnancy"):
            continue  # pinned, with the week as it is now
        key = f"condition.{concept.name}" if concept else f"condition.code:{_NOT_CODE.sub('', code)}"
        others = sum(k.startswith("condition.code:") for k in seen)
        if key in seen or (concept is None and others >= OTHER_CONDITIONS):
            continue
        seen.add(key)
        current = "condition.present" if concept else "condition.other"
        past = "condition.past" if entry.reason else current
        sentence = render_sentence(
            "condition.undated" if entry.undated or entry.reason == "acute_undated" else past,
            language,
            name=name,
            label=concept and _plain_concept(concept, name, language),
            ago=at and format_ago(at, as_of, language),
        )
        yield _segment(key, sentence, at, as_of, entry.source, "record:conditions")


def _suspected(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """A suspicion is stated as one, and only where the condition itself is not on record; a disputed fact is not."""
    present = {find_concept(code) or code for code in read_texts(row, "condition_codes")}
    seen: set[str] = set()
    for entry, name in _clean_entries([e for e in list_suspected(row) if not is_disputed(e.text)]):
        concept = find_concept(entry.code)
        key = f"suspected.{concept.name}" if concept else f"suspected.code:{_NOT_CODE.sub('', entry.code)}"
        if (concept or entry.code) in present or key in seen or len(seen) >= OTHER_CONDITIONS:
            continue
        seen.add(key)
        label = concept and _plain_concept(concept, name, language)
        ago = entry.time and format_ago(entry.time, as_of, language)
        sentence = render_sentence("condition.suspected", language, name=name, label=label, ago=ago)
        yield _segment(key, sentence, entry.time, as_of, entry.source, "record:conditions")


def _plain_concept(concept: Concept, name: str, language: str) -> str | None:
    """The patient's word for a condition whose recorded name lacks it ("deep venous thrombosis")."""
    return _unless_named(look_up_label("concept", concept.name, concept.label, language), name)


def _plain_class(drug_class: str, name: str, language: str) -> str | None:
    """The class of a medicine in plain words, where its name lacks them."""
    return _unless_named(look_up_label("medicine", drug_class, DRUG_CLASSES[drug_class][0], language), name)


def _unless_named(plain: str, name: str) -> str | None:
    """``plain``, or None where a recorded name has a word of it already."""
    spelled = name.lower().replace("ae", "e")
    named = plain in name or any(word.replace("ae", "e") in spelled for word in re.findall(r"[a-z]{5,}", plain.lower()))
    return None if named else plain


def _absent(row: FeatureRow, language: str) -> Iterator[Segment]:
    codes = read_texts(row, "condition_codes")
    if not has_record(row) or len(codes) >= CONDITIONS_LIMIT:
        return
    stated = (*codes, *read_texts(row, "suspected_codes"))  # what is suspected is not absent either
    present = {concept.name for concept in map(find_concept, stated) if concept}
    for concept in CONCEPTS:
        if not concept.negative or concept.name in present:
            continue
        if concept.name == "miscarriage":
            if read_number(row, "miscarriages"):
                continue
            sentence = render_sentence("condition.never_miscarriage", language)
        else:
            name = look_up_label("concept", concept.name, concept.label, language)
            sentence = render_sentence("condition.absent", language, name=name)
        yield Segment(f"no.{concept.name}", "record", sentence, False, ("record:conditions",))


def _medicines(row: FeatureRow, as_of: datetime, language: str, rule: CurrencyRule) -> Iterator[Segment]:
    seen: set[str] = set()
    listed = list_medicines(row, as_of, rule)
    disputed = any(is_disputed(entry.text) for entry in listed)
    entries = list(_clean_entries([entry for entry in listed if not is_disputed(entry.text)]))
    for entry, name in entries:
        drug_class = find_drug_class(name)
        # the newest of a class speaks for the class; a second one of it is named by its own code
        key = f"medicine.{drug_class}" if drug_class else f"medicine.code:{_NOT_CODE.sub('', entry.code)}"
        if key in seen:
            key = f"medicine.code:{_NOT_CODE.sub('', entry.code)}"
        if key in seen or len(seen) >= MEDICINE_LIMIT:
            continue
        seen.add(key)
        taken = _MEDICINE_SENTENCES.get(entry.reason, "medicine.classed" if drug_class else "medicine.other")
        sentence = render_sentence(
            "medicine.undated" if entry.undated else taken,
            language,
            name=_SALT_OR_FORM.sub("", name),
            label=_plain_class(drug_class, name, language) if drug_class else None,
            ago=entry.time and format_ago(entry.time, as_of, language),
        )
        yield _segment(key, sentence, entry.time, as_of, entry.source, "record:medicines")
    if has_record(row) and not disputed and all(entry.reason for entry, _ in entries):
        words = render_sentence("medicine.none_current" if entries else "medicine.none", language)
        yield Segment("medicines.none", "record", words, False, ("record:medicines",))
