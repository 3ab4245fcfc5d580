"""The operations page's figures: from what has been written, nobody's, and each with the way to its report."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.testing import CliRunner

from bentos.web.operations.page import render_page
from pipelines.monitoring.operations.alert_lines import mask_small_numbers
from pipelines.monitoring.operations.build import build_operations, count_points, write_operations
from pipelines.monitoring.operations.summaries import MOST_NIGHTS
from pipelines.runs import summary_path
from pmlm.cli.main import app
from pmlm.operations_types import Operations, read_operations
from pmlm.settings import Settings
from tests.unit.pipelines.monitoring.operations.written_nights import (
    PERSON,
    SECONDS,
    name_night,
    write_alert,
    write_clinic,
    write_night,
    write_stage,
)


@pytest.fixture
def found(settings: Settings) -> Operations:
    write_clinic(settings)
    return write_operations(settings)


def test_a_clinic_without_a_night_has_a_page(settings: Settings) -> None:
    assert count_points(build_operations(settings)) == 0
    assert "pmlm night" in render_page(read_operations(settings))


def test_each_night_has_its_stages_durations_and_quarantine(found: Operations) -> None:
    assert [night.night for night in found.nights] == [name_night(number) for number in range(12)]
    first = found.nights[0]
    assert {stage.stage: stage.seconds for stage in first.stages} == SECONDS
    assert (first.seconds, first.read, first.quarantined, first.state) == (151.1, 100, 7, "finished")
    assert first.command == f"pmlm status --night {name_night(0)}"


def test_a_night_that_a_later_one_has_finished_for_is_taken_in(settings: Settings) -> None:
    for number in range(3):
        write_stage(settings, name_night(number), "records")
    for number in (0, 2):
        write_stage(settings, name_night(number), "save", figures={"finished": False})
    states = [night.state for night in build_operations(settings).nights]
    assert states == ["taken in", "not finished", "not finished"]


def test_champions_have_their_versions_and_the_gates_figures(found: Operations) -> None:
    assert [(c.version, c.refiner, c.by) for c in found.champions] == [
        ("v1.0.0", "ranking", "gate"), ("v2.0.0", "refiner-3", "person"),
    ]  # fmt: skip
    assert [g.decision for g in found.gate[:4]] == ["promote", "hold", "hold", "promote"]
    assert (found.gate[3].difference, found.gate[3].low, found.gate[3].high) == pytest.approx((0.3, 0.1, 0.5))


def test_drift_freshness_and_missing_values(found: Operations) -> None:
    drifted = [line.night for line in found.drift if line.verdicts["records"] == "drift"]
    assert drifted == [name_night(4), name_night(9)]
    assert found.drift[4].drifted == {"records": 1, "features": 0}
    assert {group.group: group.age_days for group in found.features} == {"labs": 0, "peers": 11}
    assert [(rate.feature, rate.share) for rate in found.null_rates] == [("hba1c_latest", 0.8), ("age", 0.0)]


def test_answers_by_day_with_latency_red_flags_and_words(found: Operations) -> None:
    first = found.traffic[0]
    assert (first.questions, first.shares["red_flags"], first.words) == (20, 0.25, 1000)
    assert first.seconds_p50 is not None
    assert first.seconds_p95 is not None
    assert 0 < first.seconds_p50 < first.seconds_p95
    assert first.command == "pmlm traffic --date 2026-06-01"


def test_what_is_of_fewer_than_k_patients_is_not_shown(settings: Settings, found: Operations) -> None:
    few = found.traffic[2]
    assert (few.questions, few.seconds_p95, few.shares, few.words) == (None, None, {}, None)
    assert found.feedback[0].counts == {"ratings": 12, "edits": 0, "disputes": None}
    assert "rare_latest" not in found.model_dump_json(), "4 of 100 rows lack it"
    write_night(settings, 12, patients=9)
    write_stage(settings, name_night(12), "episodes", rows_in=9, rows_out=0)
    again = build_operations(settings)
    assert (again.gate[-1].night, again.gate[-1].difference, again.gate[-1].low) == (name_night(12), None, None)
    stage = next(s for s in again.nights[-1].stages if s.stage == "episodes")
    assert (stage.rows_in, stage.rows_out) == (None, 0)


def test_an_alert_is_open_until_a_later_night_or_until_its_stage_ends_well(settings: Settings) -> None:
    night = write_night(settings, 1)
    write_alert(settings, name_night(0), "the stage train failed: OSError", kind="failed stage")
    for stage in ("records", "train"):
        write_alert(settings, night, f"the stage {stage} failed: OSError", kind="failed stage", at="2026-06-02")
    before, after = 1780272000, 1780444800  # a day before and after the alerts
    os.utime(summary_path(settings, night, "records"), (after, after))
    os.utime(summary_path(settings, night, "train"), (before, before))
    assert [alert.text for alert in build_operations(settings).alerts] == ["the stage train failed: OSError"]


def test_no_patient_no_person_and_no_reason_is_on_the_page(found: Operations) -> None:
    shown = found.model_dump_json() + render_page(found)
    for private in ("7700100", "8800200", PERSON, "Patient/77", "4 patients"):
        assert private not in shown
    assert "30 gate episodes of fewer than 10 patients" in shown


@examples(max_examples=50)
@given(n=st.integers(0, 30), k=st.integers(10, 20), noun=st.sampled_from(["patients", "gate episodes", "questions"]))
def test_a_small_number_of_patients_is_masked_in_words(n: int, k: int, noun: str) -> None:
    masked = mask_small_numbers(f"x: {n} {noun}; 45 ms", k)
    assert masked == (f"x: {n} {noun}; 45 ms" if n >= k else f"x: fewer than {k} {noun}; 45 ms")


def test_a_torn_file_is_passed_over(settings: Settings, found: Operations) -> None:
    summary_path(settings, name_night(3), "train").write_text('{"stage": "tra')
    (settings.reports / "drift" / f"{name_night(4)}.json").write_text("")
    write_alert(settings, name_night(11), "whole", kind="drift")
    with (settings.workspace / "alerts.jsonl").open("a") as file:
        file.write('{"at": "2026')
    again = build_operations(settings)
    assert {stage.stage for stage in again.nights[3].stages} == set(SECONDS) - {"train"}
    assert again.drift[4].drifted == {}
    assert again.alerts[-1].text == "whole"


def test_only_the_last_nights_are_read(settings: Settings) -> None:
    for number in range(MOST_NIGHTS + 5):
        write_stage(settings, name_night(number), "records")
    nights = build_operations(settings).nights
    assert (len(nights), nights[-1].night) == (MOST_NIGHTS, name_night(MOST_NIGHTS + 4))


def test_every_mark_of_a_picture_leads_to_a_line_with_a_command(found: Operations) -> None:
    page = render_page(found)
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert {target.split("-")[0] for target in targets} == {"night", "gate", "drift", "day"}
    for target in targets:
        assert re.search(rf'<tr id="{target}">(?:(?!</tr>).)*<code>pmlm ', page), target
    for command in set(re.findall(r"<code>(pmlm [^<]+)</code>", page)):
        resolve_command(command)
    assert "style=" not in page
    assert "<script" not in page


def resolve_command(line: str) -> None:
    """Fail where a command or an option of it does not exist."""
    command: Any = typer.main.get_command(app)
    words = line.split()[1:]
    while words and not words[0].startswith("-") and getattr(command, "commands", None):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, line


def test_what_stands_in_a_file_is_text_on_the_page(settings: Settings) -> None:
    write_night(settings, 0)
    write_alert(settings, name_night(0), "<script>alert(1)</script>")
    page = render_page(build_operations(settings))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_terminal_shows_the_same_and_writes_it_for_the_page(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clinic(settings)
    for name, value in (("HOME", settings.home), ("DROPS", settings.drops), ("KEY_DIR", settings.key_dir)):
        monkeypatch.setenv(f"PMLM_{name}", str(value))
    printed = CliRunner().invoke(app, ["ops", "--json"])
    assert printed.exit_code == 0, printed.output
    found = Operations.model_validate(json.loads(printed.output.splitlines()[-1]))
    assert found == read_operations(settings)
    assert found.nights == build_operations(settings).nights
    screen = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["ops"]).output
    for word in ("2026-06-12", "PROMOTED", "hba1c_latest", "pmlm drift --night", "fewer than 10 patients"):
        assert word in screen, word
