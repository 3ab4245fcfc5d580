"""A whole small night, started as a user does and run by Airflow in that process."""

from __future__ import annotations

import json
import sqlite3

from pipelines.night import airflow_settings, night, saved_nights, stages, verify_hashes
from pipelines.night.status import collect_status
from tests.command_line import pmlm
from tests.conftest import NightDone


def test_every_drop_is_taken_in_as_a_night_of_its_own_and_saved(night_done: NightDone) -> None:
    drops = sorted(p.name.replace("-", "") for p in night_done.settings.drops.iterdir() if p.is_dir())
    assert night_done.result["nights"] == drops
    assert [saved.night for saved in saved_nights.list_saved_nights(night_done.settings)] == drops


def test_every_stage_ran_and_left_its_summary(night_done: NightDone) -> None:
    assert [stage["stage"] for stage in night_done.result["stages"]] == list(stages.STAGES)
    assert night_done.result["finished"]


def test_every_resource_read_is_accounted_for(night_done: NightDone) -> None:
    accounts = night_done.result["accounts"]
    assert accounts["read"] > 10_000
    assert accounts["read"] == accounts["accepted"] + accounts["ignored"] + accounts["quarantined"]
    assert accounts["quarantined"] == sum(accounts["by_rule"].values())


def test_airflow_remembers_the_run_for_its_web_page(night_done: NightDone) -> None:
    with sqlite3.connect(airflow_settings.airflow_home(night_done.settings) / "airflow.db") as database:
        runs = database.execute("select dag_id, state from dag_run order by id").fetchall()
        skipped = set(database.execute("select task_id from task_instance where state = 'skipped'").fetchall())
        states = set(database.execute("select state from task_instance").fetchall())
    assert runs == [("nightly", "success"), ("retrain", "success"), ("promote", "success")]
    assert skipped == {("quiet",), ("drafts",), ("package",), ("save",)}, "the first night has cause to train"
    assert states == {("success",), ("skipped",)}


def test_airflow_shows_the_gates_figures_and_no_run_waits_for_a_scheduler(night_done: NightDone) -> None:
    with sqlite3.connect(airflow_settings.airflow_home(night_done.settings) / "airflow.db") as database:
        (event,) = database.execute("select extra from asset_event where source_task_id = 'gate'").fetchone()
        (returned,) = database.execute("select value from xcom where task_id = 'gate'").fetchone()
        assert database.execute("select count(*) from asset_dag_run_queue").fetchone() == (0,)
    gate = night_done.result["gate"]
    shown = json.loads(event)
    assert shown.pop("drops") == str(night_done.settings.drops.resolve())
    assert json.loads(returned) == shown
    assert (shown["verdict"], shown["difference"]) == (gate["decision"], gate["value"])
    assert shown["interval"] == [gate["ci_low"], gate["ci_high"]]


def test_the_screen_shows_stages_accounts_rewards_answer_and_pages(night_done: NightDone) -> None:
    for shown in ("rows in", "quarantined", "resources read", "initial prompt", "refined prompt", "answer",
                  "gate:", "Data Docs", "drift report", "Airflow"):  # fmt: skip
        assert shown in night_done.screen, shown


def test_the_libraries_do_not_speak_on_the_screen(night_done: NightDone) -> None:
    assert len(night_done.screen.splitlines()) < 240
    for word in ("[info", "INFO", "WARNING", "Traceback", "nanobind"):
        assert word not in night_done.screen


def test_a_question_of_the_locked_test_split_was_answered_through_the_endpoint(night_done: NightDone) -> None:
    answer = night_done.result["example"]["answer"]
    assert answer["answer"]
    assert answer["prompt"]
    assert len(answer["prompt"]) < len(answer["initial_prompt"])
    assert not answer["red_flags"]


def test_the_content_on_disk_is_what_was_saved(night_done: NightDone) -> None:
    assert verify_hashes.find_changed_outs(night_done.settings.workspace) == []


def test_a_second_night_without_new_records_says_so_at_once(night_done: NightDone) -> None:
    printed = pmlm(night_done.settings, "night", "--json")
    assert "No new records" in printed
    assert json.loads(printed.splitlines()[-1])["status"] == "noop"
    assert night.list_pending_nights(night_done.settings) == []


def test_status_says_again_what_the_night_said(night_done: NightDone) -> None:
    again = collect_status(night_done.settings, night_done.result["nights"])
    reported = {key: night_done.result[key] for key in ("stages", "accounts", "gate", "evaluation")}
    assert json.loads(json.dumps({key: again[key] for key in reported})) == reported
