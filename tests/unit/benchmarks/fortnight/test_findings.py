"""What the line says follows from what the nights wrote down, good or bad."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fortnight import findings
from benchmarks.fortnight.findings import NightRecord
from benchmarks.fortnight.plan import NIGHTS, DriftPlant, FortnightPlan, Kill, LateBatch, draw_plan

PLAN = replace(
    draw_plan(0),
    drifts=(DriftPlant("topic", 5, 6), DriftPlant("lab_unit", 10, 11)),
    better=4, bad=8, poisoned=12, late=LateBatch(7, (3, 5)), kills=(Kill(3, "drift", 0.0), Kill(9, "save", 0.0)),
)  # fmt: skip


def nights(**changes: NightRecord) -> list[NightRecord]:
    """A fortnight in which all went well, but for the changed nights (``n8=…``)."""
    found = {night: NightRecord(night) for night in range(1, NIGHTS + 1)}
    found[4] = NightRecord(4, trained=True, decision="promote", better_by=0.1)
    found[8] = NightRecord(8, trained=True, decision="reject", better_by=-0.2)
    found[12] = NightRecord(12, trained=True, decision="hold", better_by=0.01)
    found[5].drift, found[11].drift = {"prompts": "drift"}, {"features": "drift", "prompts": "stable"}
    found[3].killed_in, found[9].killed_in = "drift", "save"
    return [changes.get(f"n{night}", one) for night, one in found.items()]


def test_a_fortnight_in_which_all_went_well() -> None:
    assert findings.judge_promotions(PLAN, nights()) == (True, True)
    found = [findings.find_drift(one, nights()) for one in PLAN.drifts]
    assert [one and one.night for one in found] == [5, 11]
    assert findings.list_false_alarms(PLAN, nights()) == []


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        (NightRecord(8, trained=True, decision="promote", better_by=-0.2), (False, False)),
        (NightRecord(8), (True, False)),  # the bad challenger was never trained: nothing was refused
        (NightRecord(4, trained=True, decision="hold", better_by=0.1), (False, True)),
        (NightRecord(4, trained=True, decision="promote", better_by=-0.1), (False, False)),
        (NightRecord(12, trained=True, decision="promote", better_by=-0.1), (False, False)),
        (NightRecord(12, trained=True, decision="promote", better_by=0.1), (True, True)),
    ],
)
def test_a_wrong_decision_is_in_the_line(changed: NightRecord, judged: tuple[bool, bool]) -> None:
    assert findings.judge_promotions(PLAN, nights(**{f"n{changed.night}": changed})) == judged


def test_a_verdict_of_the_wrong_family_or_night_finds_nothing_and_is_a_false_alarm() -> None:
    late = NightRecord(9, drift={"prompts": "drift"})
    other = NightRecord(5, drift={"records": "drift"})
    quiet = nights(n5=other, n9=late)
    assert findings.find_drift(PLAN.drifts[0], quiet) is None
    assert findings.list_false_alarms(PLAN, quiet) == [(9, "prompts")]  # night 5's records have come late
    assert findings.list_false_alarms(PLAN, nights(n13=NightRecord(13, drift={"records": "drift"}))) == [
        (13, "records")
    ]


def test_what_a_shift_leaves_on_record_is_explained_in_later_features_alone() -> None:
    felt = NightRecord(14, drift={"features": "drift", "records": "drift"})
    assert findings.list_false_alarms(PLAN, nights(n14=felt)) == [(14, "records")]


def test_only_a_whole_answer_is_no_failure(tmp_path: Path) -> None:
    log = tmp_path / "traffic.jsonl"
    statuses = [200, 200, 503, 0, 404]
    log.write_text("".join(json.dumps({"status": one, "release": str(one)}) + "\n" for one in statuses))
    assert findings.count_requests(log) == findings.RequestCount(5, 3, 4)
    assert findings.count_requests(tmp_path / "none") == findings.RequestCount(0, 0, 0)


def test_everything_that_was_missed_has_a_line() -> None:
    line = {"promoted_better": False, "refused_worse": True, "failed_requests": 2, "lost": 0, "doubled": 0}
    records = nights(n4=NightRecord(4, trained=True, decision="hold", decision_why="not shown"), n3=NightRecord(3))
    missed = findings.explain_misses(plan_without_drift(), records, line | {"erased_found": 0})
    assert "night 3 was not killed: it had ended" in missed
    assert "night 4 was to promote: hold, not shown" in missed
    assert "failed_requests: 2" in missed
    assert "night 11: drift of features, and nothing planted explains it" in missed


def plan_without_drift() -> FortnightPlan:
    return replace(PLAN, drifts=())


def test_a_seeds_result_replaces_its_former_one_and_no_path_is_in_it(tmp_path: Path) -> None:
    target = tmp_path / "fortnight.jsonl"
    for seed, lost in ((2, 3), (1, 0), (2, 0)):
        findings.store_result(target, {"seed": seed, "lost": lost, "timeline": str(tmp_path)}, seconds=9)
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["seed"], row["lost"], row["seconds"]) for row in rows] == [(1, 0, 9), (2, 0, 9)]
    assert str(tmp_path) not in target.read_text()
