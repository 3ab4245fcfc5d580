"""Traffic: an hour's counts and shares from the interaction log, the same bytes however often it is counted."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from pipelines.monitoring import traffic
from pmlm.settings import Settings

DAY = date(2026, 6, 14)


def line(hour: int, seconds: float = 0.1, **values: Any) -> str:
    plain = {
        "id": "a", "at": f"2026-06-14T{hour:02}:30:00Z", "patient": 77001, "question": 88002, "candidates": 20,
        "kept": ["safety", "weight.latest"], "signs": [], "personalization": "full", "degraded": None,
        "seconds": {"features": seconds / 2, "llm": seconds / 2}, "llm_error": None, "findings": [],
    }  # fmt: skip
    return json.dumps(plain | values)


def write_log(settings: Settings, lines: list[str]) -> None:
    log = settings.workspace / "interactions" / f"{DAY:%Y%m%d}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(lines) + "\n")


def test_each_hour_has_its_latency_and_shares(settings: Settings) -> None:
    busy = [line(9, seconds=i / 100) for i in range(1, 101)]
    odd = [line(10, llm_error="timeout"), line(10, signs=["bleeding"]), line(10, personalization="none"), line(10)]
    write_log(settings, [*busy, *odd])
    nine, ten = traffic.measure_day(settings, DAY)
    assert (nine["hour"], nine["questions"], nine["seconds_p50"]) == ("2026-06-14T09:00Z", 100, 0.505)
    assert (nine["share_errors"], nine["segments_p50"]) == (0.0, 2.0)
    assert (ten["share_errors"], ten["share_red_flags"], ten["share_not_personalised"]) == (0.25, 0.25, 0.25)
    assert ten["share_withheld"] == 0.0


def test_counting_a_day_again_writes_the_same_bytes_and_late_lines_count(settings: Settings) -> None:
    write_log(settings, [line(9)])
    traffic.measure_day(settings, DAY)
    first = traffic.traffic_path(settings, DAY).read_bytes()
    traffic.measure_day(settings, DAY)
    assert traffic.traffic_path(settings, DAY).read_bytes() == first
    write_log(settings, [line(9), line(9)])
    (hour,) = traffic.measure_day(settings, DAY)
    assert hour["questions"] == 2


def test_no_patient_and_no_question_is_in_the_figures(settings: Settings) -> None:
    write_log(settings, [line(9)])
    traffic.measure_day(settings, DAY)
    written = traffic.traffic_path(settings, DAY).read_text() + traffic.textfile_path(settings).read_text()
    assert "77001" not in written
    assert "88002" not in written
    assert 'pmlm_hour_questions{clinic="drops"} 1' in written


def test_a_day_without_questions_is_an_empty_file(settings: Settings) -> None:
    assert traffic.measure_day(settings, DAY) == []
    assert traffic.traffic_path(settings, DAY).read_bytes() == b""
