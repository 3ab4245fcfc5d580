"""The shipped sample: enough patients and messages, whole histories, small, true sidecars."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date

from pipelines.synthetic import synthesize
from pipelines.synthetic.arrivals import INJECTED_DISPLAY
from pipelines.synthetic.portal.conversations import INJECTED_QUESTION
from pipelines.synthetic.portal.rules import load_topics
from pipelines.synthetic.records.chart import FACT_KEYS
from pipelines.synthetic.records.fhir import event_time
from pmlm.cli import synthetic
from pmlm.settings import Settings
from tests.data.synthetic.clinic_folder import SAMPLE, Clinic

MEGABYTE = 1 << 20


def subject(resource: dict) -> str:
    return (resource.get("subject") or resource["patient"])["reference"]


def test_there_are_sixty_female_patients_or_more_of_child_bearing_age(sample: Clinic) -> None:
    patients = {r["id"]: r for _, r in sample.of_type("Patient")}
    assert len(patients) >= 60
    assert {r["gender"] for r in patients.values()} == {"female"}
    assert all(
        18 <= (date(2026, 6, 6) - date.fromisoformat(r["birthDate"])).days / 365.25 <= 46 for r in patients.values()
    )


def test_each_patient_has_a_whole_history(sample: Clinic) -> None:
    births = {f"Patient/{r['id']}": date.fromisoformat(r["birthDate"]) for _, r in sample.of_type("Patient")}
    first = {}
    for _, r in sample.of_type("Encounter"):
        happened = event_time(r).date()
        first[subject(r)] = min(first.get(subject(r), happened), happened)
    assert first.keys() == births.keys()
    assert all((first[who] - born).days < 400 for who, born in births.items())


def test_history_is_followed_by_five_nights(sample: Clinic) -> None:
    drops = sorted({name[:10] for name in sample.lines})
    assert drops[0] == "2026-06-01"
    assert drops[1:] == [f"2026-06-0{n}" for n in range(2, 7)]


def test_whole_folder_is_at_most_eight_megabytes() -> None:
    assert sum(f.stat().st_size for f in SAMPLE.rglob("*") if f.is_file()) <= 8 * MEGABYTE


def test_manifest_says_that_the_clinic_is_synthetic_and_has_its_own_clock() -> None:
    manifest = Settings(drops=SAMPLE).manifest
    assert (manifest.name, manifest.clock, manifest.synthetic) == ("sample", "last_drop", True)
    assert manifest.hash_key == synthesize.HASH_KEY


def test_command_makes_the_shipped_sample_by_default() -> None:
    assert (synthetic.SAMPLE_PATIENTS, synthetic.SAMPLE_SEED) == (synthesize.SAMPLE_PATIENTS, synthesize.SAMPLE_SEED)


def test_there_are_nine_hundred_answered_questions_over_ten_topics(sample: Clinic) -> None:
    messages = {r["id"]: r for _, r in sample.of_type("Communication")}
    replies = [r for r in messages.values() if "inResponseTo" in r]
    assert len(replies) >= 900
    for reply in replies:
        question = messages[reply["inResponseTo"][0]["reference"].removeprefix("Communication/")]
        assert subject(question) == subject(reply)
        assert question["sent"] < reply["sent"]
        assert question["sender"]["reference"] == subject(question)
        assert reply["sender"]["reference"].startswith("Practitioner/")
    assert len({row["topic"] for row in sample.facts}) >= 10


def test_more_than_half_of_the_replies_are_rated_and_ratings_differ(sample: Clinic) -> None:
    ratings = {r["id"]: r["valueInteger"] for _, r in sample.of_type("Observation") if "focus" in r}
    assert 0.5 < len(ratings) / len(sample.facts) < 0.7
    assert min(Counter(ratings.values()).get(stars, 0) for stars in range(1, 6)) > 0


def test_questions_come_in_every_nightly_drop(sample: Clinic) -> None:
    nights = Counter(drop for drop, r in sample.of_type("Communication") if "inResponseTo" not in r)
    assert min(nights[date(2026, 6, n)] for n in range(2, 7)) >= 3


def test_most_topics_need_different_facts_for_different_patients(sample: Clinic) -> None:
    patient = {r["id"]: subject(r) for _, r in sample.of_type("Communication")}
    needed: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    for row in sample.facts:
        needed[row["topic"]][patient[row["communication"]]] = frozenset(row["facts"])
    shares = {t: Counter(facts.values()).most_common(1)[0][1] / len(facts) for t, facts in needed.items()}
    dependent = [topic for topic, share in shares.items() if share < 0.5]
    assert len(dependent) >= len(shares) / 2


def test_truth_names_known_rules_and_keys_and_stands_in_the_reply(sample: Clinic) -> None:
    rules = {t.topic: {row.id: set(row.facts) for row in t.rows} for t in load_topics()}
    texts = {r["id"]: r["payload"][0]["contentString"] for _, r in sample.of_type("Communication")}
    for row in sample.facts:
        may = set().union(*(rules[row["topic"]][rule] for rule in row["rule_ids"]))
        assert set(row["facts"]) <= may <= set(FACT_KEYS.values())
        assert {key for sentence in row["sentences"] for key in sentence["facts"]} == set(row["facts"])
        assert all(sentence["text"] in texts[row["communication"]] for sentence in row["sentences"])


def test_replies_rest_on_two_to_five_facts(sample: Clinic) -> None:
    sizes = Counter(len(row["facts"]) for row in sample.facts)
    assert sum(n for size, n in sizes.items() if 2 <= size <= 5) / len(sample.facts) > 0.95


def test_some_pregnancies_are_dated_and_some_are_not(sample: Clinic) -> None:
    dated = {subject(r) for _, r in sample.of_type("Observation") if _code(r) in ("11778-8", "8665-2")}
    pregnant = {
        subject(r) for _, r in sample.of_type("Condition") if _code(r) == "72892002" and "abatementDateTime" not in r
    }
    assert len(pregnant & dated) >= 10
    assert pregnant - dated


def test_outcomes_differ_between_patients(sample: Clinic) -> None:
    patients = len({r["id"] for _, r in sample.of_type("Patient")})
    for code in ("11687002", "398254007", "87522002", "48194001"):
        having = {subject(r) for _, r in sample.of_type("Condition") if _code(r) == code}
        assert 3 <= len(having) < patients / 1.5


def test_late_repeated_corrected_and_withdrawn_records_occur(sample: Clinic) -> None:
    history = date(2026, 6, 1)
    versions: dict[str, list[tuple[date, str]]] = defaultdict(list)
    late = 0
    for drop, r in sample.of_type("Observation"):
        versions[r["id"]].append((drop, json.dumps(r)))
        late += drop > history and event_time(r).date() < drop
    repeated = sum(len({text for _, text in v}) < len(v) for v in versions.values())
    corrected = sum('"status": "corrected"' in text for v in versions.values() for _, text in v[1:])
    withdrawn = sum('"status": "entered-in-error"' in text for v in versions.values() for _, text in v[1:])
    assert min(late, repeated, corrected, withdrawn) >= 5


def test_identifiers_stand_in_raw_records_and_in_some_questions(sample: Clinic) -> None:
    patients = {f"Patient/{r['id']}": r for _, r in sample.of_type("Patient")}
    assert all(r["name"] and r["telecom"] and r["address"] and r["identifier"] for r in patients.values())
    named = sum(
        patients[subject(r)]["name"][0]["given"][0] in r["payload"][0]["contentString"]
        for _, r in sample.of_type("Communication")
    )
    assert named >= 20


def test_text_that_tries_to_be_an_instruction_is_in_the_record_and_in_a_question(sample: Clinic) -> None:
    displays = {r["code"]["coding"][0].get("display") for _, r in sample.of_type("Condition")}
    asked = {r["payload"][0]["contentString"] for _, r in sample.of_type("Communication")}
    assert INJECTED_DISPLAY in displays
    assert INJECTED_QUESTION in asked


def test_types_that_nobody_reads_are_there_to_be_ignored(sample: Clinic) -> None:
    assert {"CarePlan", "Immunization", "Practitioner"} <= {r["resourceType"] for _, r in sample.arrivals}


def _code(resource: dict) -> str:
    return resource["code"]["coding"][0]["code"]
