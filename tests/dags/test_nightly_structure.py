"""The DAGs of a night are complete, fast to parse, and together in the order of dvc.yaml."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from dags import tasks
from pipelines.night import airflow_settings, stages
from pipelines.night.schedule import scheduled_night
from pmlm.settings import PROJECT, Settings

pytestmark = pytest.mark.xdist_group("airflow")
DAG_FILES = sorted(file for file in (PROJECT / "dags").glob("*.py") if file.name != "__init__.py")
NIGHT_DAGS = tuple(airflow_settings.DAG_CHAIN)
DVC: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
HEAVY = ("torch", "transformers", "trl", "pandas", "polars", "duckdb", "feast", "great_expectations", "evidently",
         "bentoml", "dvc", "pyarrow", "numpy")  # fmt: skip


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(PROJECT / "dags"))


@pytest.fixture
def dag(bag: Any) -> Any:
    return bag.dags[airflow_settings.DAG_ID]


def test_every_dag_file_imports(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == {*NIGHT_DAGS, "monitor"} == {"nightly", "retrain", "promote", "monitor"}


def test_what_the_endpoint_did_is_counted_by_the_hour_without_waiting_for_a_night(bag: Any) -> None:
    monitor = bag.dags["monitor"]
    assert monitor.schedule == "5 * * * *"
    assert monitor.task_dict["overview"].upstream_task_ids == {"traffic", "freshness"}
    assert {task.pool for task in monitor.task_dict.values()} == {"default_pool"}


def test_airflow_runs_the_stages_in_the_order_of_dvc_yaml(bag: Any) -> None:
    chained = [*follow(bag, "nightly", "intake"), *follow(bag, "retrain", "train"), *follow(bag, "promote", "gate")]
    assert [*stages.INTAKE, *(name for name in chained if name in stages.FINISH)] == list(DVC)
    assert [name for name in chained if name not in stages.STAGES] == ["intake", "decide", "save"]
    assert bag.dags["nightly"].task_dict["intake"].upstream_task_ids == {"pending"}


def test_a_night_without_cause_to_train_ends_in_nightly_with_the_same_stages(bag: Any) -> None:
    assert bag.dags["nightly"].task_dict["decide"].downstream_task_ids == {"cause", "quiet"}
    assert not bag.dags["nightly"].task_dict["cause"].downstream_task_ids
    assert follow(bag, "nightly", "quiet") == ["quiet", "drafts", "package", "save"]
    after_drift = list(stages.FINISH)[2:]
    assert [*scheduled_night.QUIET, *follow(bag, "nightly", "quiet")[1:-1]] == after_drift


def test_each_dag_starts_on_the_asset_in_which_the_one_before_ends(bag: Any) -> None:
    for (dag_id, task_id), following in zip(airflow_settings.DAG_CHAIN.items(), NIGHT_DAGS[1:], strict=False):
        task = bag.dags[dag_id].task_dict[task_id]
        assert not task.downstream_task_ids, "the next DAG starts when this one has nothing more to do"
        (asset,) = bag.dags[following].timetable.asset_condition.objects
        assert [outlet.name for outlet in task.outlets] == [asset.name]


def test_a_dag_that_follows_works_for_the_clinic_of_the_event_that_started_it(tmp_path: Path) -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    events = [
        SimpleNamespace(timestamp=at + timedelta(minutes=age), extra={"drops": str(tmp_path / name)})
        for name, age in (("newest", 2), ("older", 1))
    ]
    assert tasks.load_clinic({"drops": None}, {tasks.CAUSE: events}).drops == tmp_path / "newest"
    assert tasks.load_clinic({"drops": str(tmp_path / "asked")}, {tasks.CAUSE: events}).drops == tmp_path / "asked"


def test_the_order_of_dvc_yaml_satisfies_its_own_dependencies() -> None:
    made: set[str] = set()
    for name, stage in DVC.items():
        missing = set(stage.get("deps", ())) - made
        assert not missing, f"{name} reads {missing} before any stage makes it"
        made |= _outs(stage)


def test_every_stage_of_dvc_yaml_is_the_same_function_that_airflow_calls() -> None:
    assert list(stages.STAGES) == list(DVC)
    for name, stage in DVC.items():
        assert stage["cmd"] == f"pmlm stage {name}"
        assert list(inspect.signature(stages.load_stage(name)).parameters) == ["settings", "night"]


def test_what_grows_is_never_deleted_by_dvc() -> None:
    with_options = [out for stage in DVC.values() for out in stage.get("outs", ()) if isinstance(out, dict)]
    persistent = {path for out in with_options for path, options in out.items() if options == {"persist": True}}
    assert persistent == {
        "data/events", "data/ledger", "data/features", "models/challenger", "models/champion", "models/trajectory",
    }  # fmt: skip


def test_drift_starts_a_training_and_is_no_evidence_for_its_result() -> None:
    assert {name for name, stage in DVC.items() if "metrics/drift.json" in stage.get("deps", ())} == {"train"}
    judges = (PROJECT / "pipelines" / "evaluation" / "nightly").glob("*.py")
    assert not [file.name for file in judges if "drift" in file.read_text()]


def test_parameters_of_dvc_yaml_are_sections_of_params_yaml() -> None:
    sections = yaml.safe_load((PROJECT / "params.yaml").read_text())
    assert {name for stage in DVC.values() for name in stage.get("params", ())} <= set(sections)


def test_every_task_has_an_owner_retries_and_the_single_writers_pool(bag: Any) -> None:
    for task in (task for dag_id in NIGHT_DAGS for task in bag.dags[dag_id].task_dict.values()):
        assert (task.owner, task.pool) == ("pmlm", airflow_settings.POOL)
        assert task.retries >= 1


@pytest.mark.parametrize("dag_id", NIGHT_DAGS)
def test_one_run_at_a_time_none_made_up_and_said_in_words(bag: Any, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.tags == {"pmlm"}
    assert "pmlm night" in dag.doc_md


def test_the_night_starts_when_the_settings_say(dag: Any) -> None:
    assert dag.schedule == Settings.model_fields["night_cron"].default


def test_what_a_night_makes_is_announced_as_assets(bag: Any) -> None:
    ours = [task for dag_id in NIGHT_DAGS for task in bag.dags[dag_id].task_dict.values()]
    announced = {asset.name for task in ours for asset in task.outlets}
    assert announced == {
        "pmlm_record", "pmlm_episodes", "pmlm_cause", "pmlm_challenger", "pmlm_champion", "pmlm_release", "pmlm_night",
    }  # fmt: skip


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_a_table_of_contents(file: Path) -> None:
    assert len(file.read_text().splitlines()) < 100


def test_parsing_the_dags_takes_milliseconds_and_loads_nothing_heavy(tmp_path: Path) -> None:
    """Against an empty DAG of the same kind, parsed first in the same process: what remains is ours."""
    code = f"""
import json, runpy, sys, time
def parse(path):
    started = time.perf_counter(); runpy.run_path(path); return time.perf_counter() - started
bare = parse({str(tmp_path / "bare.py")!r})
before = set(sys.modules)
ours = {{file: min(parse(file) for _ in range(3)) for file in {[str(file) for file in DAG_FILES]!r}}}
print(json.dumps([bare, max(ours.values()), sorted({{m.split(".")[0] for m in set(sys.modules) - before}})]))
"""
    (tmp_path / "bare.py").write_text(
        "from airflow.sdk import dag, task\n@dag()\ndef bare():\n    @task.short_circuit\n    def a(): ...\n"
        "    @task\n    def b(): ...\n    a() >> b()\nbare()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare, ours, loaded = json.loads(done.stdout.splitlines()[-1])
    assert not set(loaded) & {*HEAVY, "pipelines", "models"}
    assert ours < 0.1, f"{ours:.3f} s, against {bare:.3f} s for Airflow itself"


def follow(bag: Any, dag_id: str, first: str) -> list[str]:
    """The tasks from one on, each with one successor; where a task decides, only up to it."""
    found, dag = [first], bag.dags[dag_id]
    while len(following := dag.task_dict[found[-1]].downstream_task_ids) == 1:
        found += following
    return found


def _outs(stage: dict[str, Any]) -> set[str]:
    listed = [*stage.get("outs", ()), *stage.get("metrics", ())]
    return {path for out in listed for path in ([out] if isinstance(out, str) else out)}
