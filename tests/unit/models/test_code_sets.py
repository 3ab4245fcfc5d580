"""Every ICD-10-CM code below a prefix in use means what its set says, by the tabular list's own titles.

``tests/data/icd10cm_titles.csv`` is an extract of the tabular list of ICD-10-CM, April 2026 (CDC and CMS, public
domain): the categories in use down to their fifth character, and codes beside them that mean something else.
"""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime

import pytest

from models.code_sets import FOLDER, CodeSet, read_code_sets
from models.patient.pregnancy_statements import read_statements
from models.vocabulary import find_concept
from pmlm.settings import PROJECT

with (PROJECT / "tests" / "data" / "icd10cm_titles.csv").open() as stream:
    TITLES = {row["code"]: row["title"] for row in csv.DictReader(stream)}

#: What a title has to say, and what it must not say.
MEANINGS = {
    "hypertension": (r"hypertensi", r"history|intracranial"),
    "preeclampsia": (r"eclampsia|HELLP", r"history"),
    "diabetes": (r"diabetes", r"gestational|history|insipidus"),
    "gestational_diabetes": (r"gestational diabetes", r"history"),
    "prediabetes": (r"prediabetes|impaired", r"unspecified"),
    "anaemia": (r"anemia|sideropenic dysphagia|transcobalamin", r"history"),
    "asthma": (r"asthma|bronchospasm", r"history"),
    "migraine": (r"migrain", r"cyclical|periodic"),
    "depression": (r"depress", r"full remission|psychosis|dysphoric"),
    "anxiety": (r"anxiety|phobia|phobic|panic|fear", r"history"),
    "obesity": (r"obesity", r"^overweight$"),
    "thyroid": (r"thyroid|thyrotox|goiter|myxedema", r"history"),
    "kidney_disease": (r"kidney|renal", r"history|injury"),
    "clot": (r"thromb|phleb|embol|budd", r"hemorrhoid|varic|history"),
    "reflux": (r"reflux", r"vesico"),
    "urinary_infection": (
        r"cystitis|infection.*(urinary|kidney|bladder|urethra|genitourinary)|urinary tract",
        r"genital tract|interstitial|irradiation",
    ),
    "miscarriage": (r"abortion|blighted", r"history|induced"),
    "epilepsy": (
        r"epilep|absence|lennox|spasm|dravet|syndromes|developmental|seizure|deficiency",
        r"external|other seizures",
    ),
    "endometriosis": (r"endometriosis", r"history"),
    "pcos": (r"polycystic ovar", r"history"),
    "chronic_pain": (r"chronic|post-thoracotomy", r"acute pain"),
    "pregnancy": (
        r"pregnan|multigravida|primigravida|gestation",
        r"termination|negative|history of pregnancy|elective",
    ),
    "antenatal": (r"pregnan|gestation|maternal care|antenatal|antepartum|labor|fetal|placent|amnio|previa|abortion|"
                  r"hydramnios|trimester|chorio|malform|shortening|pruritic|hypotension|uterine size|spotting|"
                  r"subluxation|membranes|gravidarum|fetus|umbilical",
                  r"puerperium$|postpartum|complicating childbirth|fetal death"),
    "multiple": (r"twin|triplet|quadruplet|multiple|fetus|gestation", r"history"),
    "ended": (r"deliver|birth|born|abortion|termination|blighted|laceration", r"history|failed|without delivery"),
    "postpartum": (r"postpartum|puerper|deliver|placenta|obstetric|lactating|following|hemorrhage|cesarean|perineal|"
                   r"mother", r"cardiomyopathy|history"),
}  # fmt: skip
SETS = {**read_code_sets("concepts"), **read_code_sets("pregnancy")}


@pytest.mark.parametrize("name", MEANINGS)
def test_every_code_below_a_prefix_means_what_its_set_says(name: str) -> None:
    means, never = MEANINGS[name]
    below = {code: title for code, title in TITLES.items() if f"ICD10//{code}" in SETS[name]}
    assert below
    wrong = {
        code: title
        for code, title in below.items()
        if not re.search(means, title, re.I) or re.search(never, title, re.I)
    }
    assert wrong == {}


def test_every_set_with_codes_of_icd10_is_walked() -> None:
    with_icd10 = {n for n, s in SETS.items() if any("ICD10//" in c for c in (*s.exact, *s.prefixes))}
    assert with_icd10 == set(MEANINGS)


def test_a_code_dates_a_pregnancy_by_its_trimester_alone() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    trimesters = {"28-97 d": "first", "98-195 d": "second", "196-308 d": "third"}
    wrong = {}
    for code, title in TITLES.items():
        row = {"pregnancy_codes": [f"ICD10//{code}"], "pregnancy_values": [""], "pregnancy_times": [at],
               "pregnancy_sources": ["s"]}  # fmt: skip
        for stated in read_statements(row, at):
            if stated.method == "trimester code" and f"{trimesters[stated.value]} trimester" not in title:
                wrong[code] = title
    assert wrong == {}


@pytest.mark.parametrize(
    "code",
    ["O22.0", "O22.43", "O22.9", "O87.2", "O87.4", "F53.1", "R73.9", "R73.09", "M54.5", "M54.50", "Z87.59", "E66.3",
     "N30.1", "O23.5", "G43.A", "F33.42", "F32.81", "G89.3"],
)  # fmt: skip
def test_codes_beside_a_concept_are_not_it(code: str) -> None:
    assert find_concept(f"ICD10//{code}") is None


@pytest.mark.parametrize(
    ("code", "name"),
    [("O22.33", "clot"), ("O87.1", "clot"), ("F53.0", "depression"), ("O24.410", "gestational_diabetes"),
     ("R73.03", "prediabetes"), ("Z34.82", "pregnancy"), ("G89.29", "chronic_pain"), ("O03.4", "miscarriage")],
)  # fmt: skip
def test_codes_of_a_concept_are_it(code: str, name: str) -> None:
    found = find_concept(f"ICD10//{code}")
    assert found is not None
    assert found.name == name


def test_a_prefix_matches_what_begins_so_and_an_exact_code_itself() -> None:
    codes = CodeSet(frozenset({"A//1"}), ("B//2",))
    assert [code in codes for code in ("A//1", "A//12", "B//2", "B//23", "B//3")] == [True, False, True, True, False]


def test_every_code_has_a_source() -> None:
    for file in FOLDER.glob("*.csv"):
        with file.open() as stream:
            rows = list(csv.DictReader(stream))
        assert rows
        assert all(row["source"] and row["code"] and row["system"] for row in rows), file.name
        assert len({(r["set"], r["system"], r["code"]) for r in rows}) == len(rows), file.name
