"""The event log over several drops: event and known times, corrections, deletions, no duplicates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from models.schema import DELETED, EVENT_SCHEMA
from pipelines.records.drops import list_drops, list_pending
from pipelines.records.log import event_log, ledger
from tests.unit.pipelines.records.fhir import (
    FIRST,
    LOINC,
    Clinic,
    Resource,
    allergy,
    concept,
    condition,
    observation,
    patient,
    question,
    without,
)

SECOND, THIRD = "2026-06-02", "2026-06-03"


def end(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T23:59:59").replace(tzinfo=UTC)


def weights(clinic: Clinic, day: str) -> list[float]:
    """The weights that count as of the end of a day."""
    known = event_log.select_as_of(event_log.scan_events(clinic.settings), end(day)).filter(
        pl.col("kind") == "observation"
    )
    return known.collect()["numeric_value"].to_list()


def pressures(ident: str, *parts: tuple[str, float]) -> Resource:
    components = [
        {"code": concept(LOINC, code), "valueQuantity": {"value": value, "unit": "mm[Hg]"}} for code, value in parts
    ]
    return without(observation(ident, "85354-9"), "valueQuantity") | {"component": components}


def test_the_log_has_the_shared_schema(clinic: Clinic) -> None:
    assert event_log.scan_events(clinic.settings).collect_schema() == pl.Schema(event_log.SCHEMA)
    clinic.drop(FIRST, patient(), observation("w"))
    assert clinic.events().to_arrow().cast(EVENT_SCHEMA).schema == EVENT_SCHEMA


def test_a_history_is_known_when_it_was_written_down(clinic: Clinic) -> None:
    issued = observation("w", issued="2026-05-22T07:00:00Z")
    clinic.drop(FIRST, patient(), issued, question("q", "May I fly?"), condition(recordedDate="2026-04-10"))

    assert clinic.event("observation")["known_at"] == datetime(2026, 5, 22, 7, tzinfo=UTC)
    assert clinic.event("question")["known_at"] == datetime(2026, 5, 21, 8, tzinfo=UTC)
    assert clinic.event("condition")["known_at"] == datetime(2026, 4, 10, tzinfo=UTC)


def test_later_drops_are_known_at_the_end_of_their_day(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient())
    clinic.drop(SECOND, observation("late", effectiveDateTime="2019-01-01", issued="2019-01-02"))

    fact = clinic.event("observation")
    assert (fact["time"], fact["known_at"]) == (datetime(2019, 1, 1, tzinfo=UTC), end(SECOND))


def test_nothing_is_known_before_it_happened(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", issued="2026-05-01T00:00:00Z"))

    assert clinic.event("observation")["known_at"] == clinic.event("observation")["time"]


def test_a_corrected_value_counts_from_the_correction_on(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0))
    clinic.drop(SECOND, observation("w", value=71.0))

    assert [weights(clinic, day) for day in (FIRST, SECOND)] == [[61.0], [71.0]]


def test_a_value_corrected_back_counts_again(clinic: Clinic) -> None:
    for day, value in ((FIRST, 61.0), (SECOND, 71.0), (THIRD, 61.0)):
        clinic.drop(day, patient(), observation("w", value=value))

    assert [weights(clinic, day) for day in (FIRST, SECOND, THIRD)] == [[61.0], [71.0], [61.0]]


DELETIONS: dict[str, Resource] = {
    "entered in error": observation("w", status="entered-in-error"),
    "asked to delete": {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Observation/w"}}],
    },
    "value taken away": without(observation("w"), "valueQuantity"),
}


@pytest.mark.parametrize("deletion", DELETIONS.values(), ids=DELETIONS)
def test_a_deleted_fact_is_gone_from_then_on(clinic: Clinic, deletion: Resource) -> None:
    clinic.drop(FIRST, patient(), observation("w", value=61.0), observation("other", value=62.0))
    clinic.drop(SECOND, deletion)

    assert sorted(weights(clinic, FIRST)) == [61.0, 62.0]
    assert weights(clinic, SECOND) == [62.0]
    gone = clinic.event("deleted")
    assert (gone["code"], gone["known_at"]) == (DELETED, end(SECOND))


def test_a_panel_deleted_by_request_loses_all_its_components(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), pressures("bp", ("8480-6", 118), ("8462-4", 76)))
    clinic.drop(
        SECOND, {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Observation/bp"}}]}
    )

    assert weights(clinic, SECOND) == []


def test_a_component_that_a_correction_leaves_out_is_gone(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), pressures("bp", ("8480-6", 118), ("8462-4", 76)))
    clinic.drop(SECOND, pressures("bp", ("8480-6", 121)))

    assert weights(clinic, SECOND) == [121.0]


def test_a_condition_found_active_after_all_has_no_end(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), condition(abatementDateTime="2026-04-30"))
    clinic.drop(SECOND, condition())

    known = event_log.select_as_of(event_log.scan_events(clinic.settings), end(SECOND)).collect()
    assert set(known["kind"]) == {"patient", "condition"}


def test_a_full_export_every_night_adds_what_is_new_alone(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w"), condition())
    accounts = clinic.drop(SECOND, patient(), observation("w"), condition(), observation("new"))

    assert (accounts.accepted, accounts.events) == (4, 1)


def test_the_same_drop_twice_adds_nothing(clinic: Clinic) -> None:
    first = clinic.drop(FIRST, patient(), observation("w"), "broken")
    before = clinic.batches(), clinic.quarantined()

    assert clinic.take(FIRST) == first
    assert (clinic.batches(), clinic.quarantined()) == before


def test_the_same_records_in_other_files_and_another_order_add_nothing(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w"), condition())
    clinic.drop(SECOND, observation("w", value=70.0))
    before = clinic.batches()
    (clinic.settings.drops / FIRST / "records.ndjson").unlink()
    clinic.put(FIRST, "b/second.json.gz", [condition(), observation("w"), patient()])

    assert clinic.take(FIRST).accepted == 3
    assert clinic.batches() == before
    assert weights(clinic, SECOND) == [70.0]


def test_a_drop_amended_later_is_known_from_the_last_day_on(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient())
    clinic.drop(THIRD, observation("w", value=61.0))
    clinic.drop(SECOND, observation("forgotten", value=62.0))

    assert weights(clinic, SECOND) == []
    assert sorted(weights(clinic, THIRD)) == [61.0, 62.0]


def test_a_correction_within_the_day_counts(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient())
    clinic.drop(SECOND, observation("w", value=61.0))
    clinic.drop(SECOND, observation("w", value=71.0))

    known = event_log.select_as_of(event_log.scan_events(clinic.settings), clinic.settings.now()).filter(
        pl.col("kind") == "observation"
    )
    assert known.collect()["numeric_value"].to_list() == [71.0]


def test_the_clock_stands_at_the_end_of_the_last_drop(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient())
    clinic.drop(SECOND, observation("w"))

    assert clinic.settings.now() == end(SECOND)


def test_pending_drops_come_in_order_of_date_and_only_once(clinic: Clinic) -> None:
    clinic.put(SECOND, "w.ndjson", [observation("w")])
    clinic.drop(FIRST, patient())
    (clinic.settings.drops / "notes").mkdir()

    assert [d.night for d in list_drops(clinic.settings)] == ["20260601", "20260602"]
    assert [d.night for d in list_pending(clinic.settings)] == ["20260602"]
    clinic.put(FIRST, "more.ndjson", [condition()])
    assert [d.night for d in list_pending(clinic.settings)] == ["20260601", "20260602"]


def test_a_folder_without_dates_is_one_drop_of_its_newest_day(clinic: Clinic) -> None:
    clinic.put(".", "patients.ndjson", [patient()])

    [drop] = list_drops(clinic.settings)
    assert drop.path == clinic.settings.drops
    assert drop.date == datetime.now(UTC).date()


def test_a_batch_that_no_ledger_lists_is_not_read_and_goes(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w"))
    event_log.write_batch(clinic.settings, "20260602", clinic.events())
    assert len(clinic.events("observation")) == 1

    clinic.drop(SECOND, condition())
    assert sorted(p.name for p in clinic.settings.events.glob("*.parquet")) == clinic.batches()


def test_the_ledger_says_what_became_of_a_drop(clinic: Clinic) -> None:
    accounts = clinic.drop(FIRST, patient(), observation("w"), {"resourceType": "Claim"}, "broken")

    entry: Any = ledger.read_entry(clinic.settings, "20260601")
    assert entry.accounts == accounts
    assert (accounts.read, accounts.accepted, accounts.ignored, accounts.quarantined) == (4, 2, 1, 1)
    assert accounts.by_rule == {"invalid_json": 1}
    assert accounts.events == len(clinic.events())


def meta(updated: str = "", version: str = "") -> Resource:
    stated = {"lastUpdated": updated, "versionId": version}
    return {"meta": {key: value for key, value in stated.items() if value}}


LATER = {
    "by time": (meta("2026-06-01T08:00:00Z"), meta("2026-06-01T08:00:00.5Z")),
    "by time in two zones": (meta("2026-06-01T09:00:00+02:00"), meta("2026-06-01T08:00:00Z")),
    "by number": (meta(version="9"), meta(version="10")),
    "by number within one time": (meta("2026-06-01", "1"), meta("2026-06-01", "2")),
}


@pytest.mark.parametrize(("old", "new"), LATER.values(), ids=LATER)
@pytest.mark.parametrize("turned", [False, True])
def test_of_two_versions_in_a_drop_the_later_counts(clinic: Clinic, old: Resource, new: Resource, turned: bool) -> None:
    pair = [observation("w", value=61.0) | old, observation("w", value=62.0) | new]
    accounts = clinic.drop(FIRST, patient(), *(reversed(pair) if turned else pair))

    assert accounts.ignored_types == {"Observation of an earlier version": 1}
    assert clinic.event("observation")["numeric_value"] == 62.0


def test_a_history_states_its_versions_in_its_responses(clinic: Clinic) -> None:
    entries = [
        {"resource": observation("w", value=62.0), "response": {"etag": 'W/"2"', "status": "200"}},
        {"resource": observation("w", value=61.0), "response": {"etag": 'W/"1"', "status": "201"}},
        {"resource": observation("x"), "response": {"lastModified": "2026-06-01T07:00:00Z"}},
        {
            "request": {"method": "DELETE", "url": "Observation/x"},
            "response": {"lastModified": "2026-06-01T08:00:00Z"},
        },
    ]
    clinic.drop(FIRST, patient(), {"resourceType": "Bundle", "type": "history", "entry": entries})

    assert clinic.event("observation")["numeric_value"] == 62.0


def test_a_deletion_with_its_resource_in_the_entry_deletes(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), observation("w"))
    gone = {"resource": observation("w"), "request": {"method": "DELETE", "url": "Observation/w"}}
    clinic.drop(SECOND, {"resourceType": "Bundle", "type": "transaction", "entry": [gone]})

    assert weights(clinic, SECOND) == []


def test_a_deletion_of_no_single_resource_is_quarantined(clinic: Clinic) -> None:
    gone = {"request": {"method": "DELETE", "url": "Observation?code=29463-7"}}
    accounts = clinic.drop(FIRST, patient(), {"resourceType": "Bundle", "type": "batch", "entry": [gone]})

    assert accounts.by_rule == {"bad_reference": 1}


def allergies(clinic: Clinic, day: str) -> set[tuple[str, str]]:
    known = event_log.select_as_of(event_log.scan_events(clinic.settings), end(day)).collect()
    found = known.filter(pl.col("kind").str.starts_with("allergy."))
    return {(kind, text) for kind, text in found.select("kind", "text_value").iter_rows()}


UNREAD = ("allergy.unread", "an entry that could not be read")
BROKEN: dict[str, Resource | str] = {
    "modified": allergy(modifierExtension=[{"url": "https://ehr.example/not-this-patient"}]),
    "wrong type": allergy(category="medication"),
    "torn": json.dumps(allergy(note=[{"text": "x"}]))[:-30],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_quarantined_allergy_is_an_unread_entry_until_it_is_sound(clinic: Clinic, broken: Resource | str) -> None:
    clinic.drop(FIRST, patient(), broken)
    assert allergies(clinic, FIRST) == {UNREAD}

    clinic.take(FIRST)
    clinic.drop(SECOND, broken)
    assert len(clinic.events("allergy.unread")) == 1

    clinic.drop(THIRD, allergy())
    assert allergies(clinic, THIRD) == {("allergy.medication", "Penicillin V")}


def test_an_allergy_deleted_later_is_no_longer_unread(clinic: Clinic) -> None:
    clinic.drop(FIRST, patient(), BROKEN["modified"])
    clinic.drop(
        SECOND, {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "AllergyIntolerance/a1"}}]}
    )

    assert allergies(clinic, SECOND) == set()


def test_of_two_versions_of_an_allergy_that_conflict_the_safer_reading_stays(clinic: Clinic) -> None:
    refuted = allergy(verificationStatus={"coding": [{"code": "refuted"}]})
    clinic.drop(FIRST, patient(), allergy(), refuted)
    assert allergies(clinic, FIRST) == {UNREAD, ("allergy.unconfirmed.medication", "Penicillin V")}

    clinic.drop(SECOND, refuted)
    assert allergies(clinic, SECOND) == set()
