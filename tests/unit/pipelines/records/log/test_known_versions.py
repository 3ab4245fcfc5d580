"""Versions across drops: what a version states of itself decides, whatever the order of the drops."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.records.log import event_log
from pmlm.settings import Settings
from tests.unit.pipelines.records.fhir import FIRST, Clinic, Resource, allergy, condition, observation, patient

DAYS = (FIRST, "2026-06-02", "2026-06-03")
TIMES = ("2026-05-01T08:00:00Z", "2026-05-02T08:00:00+02:00", "2026-05-02T07:00:00.5Z")
RESOLVED = {"clinicalStatus": {"coding": [{"code": "resolved"}]}, "abatementDateTime": "2026-05-30"}
REFUTED = {"verificationStatus": {"coding": [{"code": "refuted"}]}}
#: Three versions, the oldest first.
VERSIONS: dict[str, tuple[Resource, Resource, Resource]] = {
    "value": (observation("r", value=61.0), observation("r", status="entered-in-error"), observation("r", value=63.0)),
    "end": (condition("r"), condition("r", **RESOLVED), condition("r")),
    "retraction": (observation("r", value=61.0), observation("r", value=62.0), observation("r", status="cancelled")),
    "allergy": (allergy("r"), allergy("r", **REFUTED), allergy("r", category=["food"])),
    "withdrawn allergy": (allergy("r", category=["food"]), allergy("r"), allergy("r", **REFUTED)),
}
STAMPS = {
    "by time": [{"lastUpdated": at} for at in TIMES],
    "by number": [{"versionId": number} for number in ("2", "9", "10")],
    "by number within one time": [{"lastUpdated": TIMES[0], "versionId": number} for number in ("2", "9", "10")],
}


def _open(folder: Path) -> Clinic:
    (folder / "clinic").mkdir(parents=True)
    (folder / "clinic" / "clinic.yaml").write_text("name: testing\nclock: last_drop\n")
    return Clinic(Settings(home=folder / "state", drops=folder / "clinic", key_dir=folder / "keys"))


def _believe(clinic: Clinic) -> list[dict[str, Any]]:
    """What counts in the end, of everything but the patient herself."""
    known = event_log.select_as_of(event_log.scan_events(clinic.settings), clinic.settings.now())
    facts = known.filter(pl.col("kind") != "patient").select("time", "code", "kind", "numeric_value", "text_value")
    return facts.sort("kind", "code").collect().to_dicts()


def _import(clinic: Clinic, *drops: tuple[str, Resource]) -> list[dict[str, Any]]:
    """Import one resource a drop, the patient with the first; return what is believed then."""
    for position, (day, resource) in enumerate(drops):
        clinic.drop(day, *([patient()] if position == 0 else ()), resource)
    return _believe(clinic)


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 10, deadline=None)  # each example imports three drops
@given(
    name=st.sampled_from(sorted(VERSIONS)),
    stamp=st.sampled_from(sorted(STAMPS)),
    days=st.permutations(DAYS),
    order=st.permutations(range(3)),
)
def test_any_order_of_the_drops_leads_to_one_belief(
    tmp_path_factory: pytest.TempPathFactory, name: str, stamp: str, days: list[str], order: list[int]
) -> None:
    stamped = [r | {"meta": m} for r, m in zip(VERSIONS[name], STAMPS[stamp], strict=True)]
    drops = [(days[index], stamped[index]) for index in order]
    newest = _import(_open(tmp_path_factory.mktemp("newest")), (DAYS[0], stamped[2]))

    assert _import(_open(tmp_path_factory.mktemp("all")), *drops) == newest


@pytest.mark.parametrize("order", permutations(range(2)), ids=str)
@pytest.mark.parametrize("name", ["value", "retraction", "withdrawn allergy"])
def test_an_older_version_in_a_later_drop_replaces_nothing(tmp_path: Path, name: str, order: tuple[int, int]) -> None:
    old, new = (
        VERSIONS[name][0] | {"meta": {"lastUpdated": TIMES[0]}},
        VERSIONS[name][2] | {"meta": {"lastUpdated": TIMES[2]}},
    )
    drops = [(DAYS[0], new), (DAYS[1], old)]
    believed = _import(_open(tmp_path), *(drops[index] for index in order))

    assert believed == _import(_open(tmp_path / "alone"), (DAYS[0], new))


def test_versions_that_say_nothing_follow_the_drops(clinic: Clinic) -> None:
    _import(clinic, (DAYS[0], observation("r", value=61.0)), (DAYS[1], observation("r", value=62.0)))

    assert [fact["numeric_value"] for fact in _believe(clinic)] == [62.0]


UNDECIDED = {
    "the later says nothing": ({"lastUpdated": TIMES[0]}, {}),
    "both are of one time": ({"lastUpdated": TIMES[0]}, {"lastUpdated": TIMES[0]}),
    "time and number": ({"lastUpdated": TIMES[0]}, {"versionId": "4"}),
    "the earlier says nothing": ({}, {"versionId": "4"}),
}


@pytest.mark.parametrize(("old", "new"), UNDECIDED.values(), ids=UNDECIDED)
def test_where_nothing_decides_an_allergy_stays_and_the_list_is_called_unclear(
    clinic: Clinic, old: Resource, new: Resource
) -> None:
    _import(clinic, (DAYS[0], allergy("r", meta=old)), (DAYS[1], allergy("r", meta=new, **REFUTED)))

    assert [fact["kind"] for fact in _believe(clinic)] == ["allergy.medication", "allergy.unread"]
    assert [row.rule for row in clinic.quarantined()] == ["duplicate_conflict"]

    clinic.drop(DAYS[2], allergy("r", meta={"lastUpdated": "2026-06-03T09:00:00Z", "versionId": "9"}, **REFUTED))
    assert _believe(clinic) == []


def test_a_time_after_the_drop_that_had_none_is_later(clinic: Clinic) -> None:
    later = {"lastUpdated": f"{DAYS[1]}T09:00:00Z"}
    _import(clinic, (DAYS[0], allergy("r")), (DAYS[1], allergy("r", meta=later, **REFUTED)))

    assert _believe(clinic) == []


def test_equal_content_adds_nothing_whatever_its_version(clinic: Clinic) -> None:
    clinic.drop(DAYS[0], patient(), allergy("r"), observation("o"))
    again = {"meta": {"lastUpdated": TIMES[0], "versionId": "7"}}
    accounts = clinic.drop(DAYS[1], allergy("r") | again, observation("o") | again)

    assert (accounts.events, accounts.quarantined) == (0, 0)


def test_a_drop_that_is_corrected_counts_as_corrected(clinic: Clinic) -> None:
    _import(clinic, (DAYS[0], allergy("r", meta={"lastUpdated": TIMES[2]})))
    clinic.drop(DAYS[0], patient(), allergy("r", meta={"lastUpdated": TIMES[0]}, **REFUTED))

    assert _believe(clinic) == []
