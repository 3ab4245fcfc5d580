"""Quarantined rows: who may read them, how they are released, and that this happens once."""

from __future__ import annotations

import json
from dataclasses import replace

from pipelines.records.log import quarantine
from pipelines.records.replay import replay_quarantine
from tests.unit.pipelines.records.fhir import FIRST, Clinic, condition, observation, patient

SECOND, THIRD, FIFTH = "2026-06-02", "2026-06-03", "2026-06-05"


def edit(clinic: Clinic, old: str, new: str) -> None:
    """Correct rows in the quarantine file, as with an editor."""
    changed = [replace(r, raw=r.raw.replace(old, new)) for r in clinic.quarantined()]
    quarantine.rewrite_files(clinic.settings, changed)


def test_only_the_owner_may_read_it(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), "broken")

    folder = clinic.settings.quarantine
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert files
    assert {p.stat().st_mode & 0o777 for p in files} == {0o600}


def test_bytes_that_are_no_text_are_stored_unchanged(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), b'{"resourceType": "Patient", "id": "p\xff"}')

    [row] = clinic.quarantined()
    assert row.text == b'{"resourceType": "Patient", "id": "p\xff"}'


def test_a_broken_line_is_named_as_far_as_it_can_be_read(clinic: Clinic) -> None:
    clinic.drop(FIRST, json.dumps(observation("w7"))[:70])

    assert [(r.type, r.id) for r in clinic.quarantined()] == [("Observation", "w7")]


def test_a_record_from_the_future_comes_in_on_its_day(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", effectiveDateTime="2026-06-03T08:00:00Z"))
    assert clinic.drop(SECOND, condition()).released == {}
    assert clinic.drop(FIFTH, condition("c2")).released == {"future_date": 1}

    assert clinic.event("observation")["known_at"].date().isoformat() == FIFTH
    assert clinic.quarantined() == []


def test_records_wait_for_their_patient(clinic: Clinic) -> None:
    first = clinic.drop(FIRST, observation("w"), condition())
    assert first.by_rule == {"unknown_patient": 2}

    second = clinic.drop(SECOND, patient())
    assert (second.read, second.accepted, second.quarantined) == (1, 1, 0)
    assert second.released == {"unknown_patient": 2}
    assert len(clinic.events("observation", "condition")) == 2


def test_of_two_waiting_versions_the_newer_counts(clinic: Clinic) -> None:
    clinic.drop(FIRST, observation("w", value=61.0))
    clinic.drop(SECOND, observation("w", value=62.0))
    clinic.drop(THIRD, patient())

    assert clinic.event("observation")["numeric_value"] == 62.0
    assert clinic.quarantined() == []


def test_what_waited_does_not_undo_a_later_correction(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0, effectiveDateTime="2026-06-03T08:00:00Z"))
    clinic.drop(SECOND, observation("w", value=62.0))
    clinic.drop(THIRD, condition())

    assert clinic.event("observation")["numeric_value"] == 62.0


def test_a_row_corrected_in_quarantine_is_released_once(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=615.0))
    edit(clinic, "615.0", "61.5")

    done = replay_quarantine(clinic.settings)
    assert (done.tried, done.released, done.held, done.events) == (1, {"impossible_value": 1}, 0, 1)
    assert clinic.event("observation")["numeric_value"] == 61.5

    again = replay_quarantine(clinic.settings)
    assert (again.tried, again.events) == (0, 0)
    assert len(clinic.events("observation")) == 1


def test_a_line_corrected_in_the_drop_is_released(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=615.0), observation("v", unit="stone"))
    clinic.put(FIRST, "records.ndjson", [patient(), observation("w", value=61.5), observation("v", unit="stone")])

    done = replay_quarantine(clinic.settings)
    assert (done.tried, done.released, done.held) == (2, {"impossible_value": 1}, 1)
    assert clinic.event("observation")["numeric_value"] == 61.5


def test_a_drop_imported_again_after_a_correction_releases_its_row(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=615.0))
    clinic.drop(FIRST, patient(), observation("w", value=61.5))

    assert clinic.quarantined() == []
    assert clinic.event("observation")["numeric_value"] == 61.5


def test_a_row_that_breaks_another_rule_now_stays_under_that(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=615.0))
    edit(clinic, '"unit": "kg"', '"unit": "stone"')
    edit(clinic, '"code": "kg"', '"code": "stone"')

    assert replay_quarantine(clinic.settings).held == 1
    assert [r.rule for r in clinic.quarantined()] == ["unknown_unit"]
    assert replay_quarantine(clinic.settings).held == 1


def test_replay_of_one_rule_leaves_the_others(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=615.0), observation("x", value=616.0, unit="stone"))
    edit(clinic, "615.0", "61.5")

    assert replay_quarantine(clinic.settings, "unknown_unit").tried == 1
    assert replay_quarantine(clinic.settings, "impossible_value").released == {"impossible_value": 1}


def test_of_two_versions_in_conflict_the_one_that_is_left_is_released(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0), observation("w", value=62.0))
    assert replay_quarantine(clinic.settings).held == 2

    path = clinic.settings.quarantine / "20260601.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[1])
    assert replay_quarantine(clinic.settings).released == {"duplicate_conflict": 1}
    assert clinic.event("observation")["numeric_value"] == 62.0


def test_a_corrected_patient_has_their_names_scrubbed(clinic: Clinic) -> None:
    torn = json.dumps(patient("eve", name=[{"given": ["Eulalia"], "family": "Quibblesworth"}]))[:-1]
    clinic.drop(FIRST, torn)
    edit(clinic, torn, torn + "}")
    replay_quarantine(clinic.settings)
    visit = observation("o", code="1-1") | {"subject": {"reference": "Patient/eve"}}
    visit["code"] = {"text": "Weight of Quibblesworth"}
    clinic.drop(SECOND, visit)

    answer = condition("c", code={"text": "Worry of Quibblesworth"}, subject={"reference": "Patient/eve"})
    clinic.drop(THIRD, answer)
    assert clinic.event("condition")["text_value"] == "Worry of [name]"
