"""A whole night with Airflow's runs in Postgres and the features in Redis leaves what one on SQLite leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_repo.store import online
from pipelines.features.engines import feature_files
from pipelines.night import airflow_settings, night, saved_nights, verify_hashes
from pipelines.night.schedule import airflow_processes, dag_runs
from pmlm.settings import Settings
from pmlm.storage import read_json
from tests.conftest import NightDone
from tests.dags.scheduler import free_port, wait_for_first_run
from tests.unit.pipelines.features import servers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("airflow"),
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        not os.environ.get("PMLM_SERVERS"),
        reason="some minutes: PMLM_SERVERS=1 pytest -n0 tests/dags/test_night_on_servers.py",
    ),
]


@pytest.fixture
def on_servers(tmp_path: Path, night_done: NightDone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The small clinic before its first night, whose scheduler and online store are servers."""
    home, sqlite = tmp_path / "state", night_done.settings
    shutil.copytree(sqlite.home / "keys", home / "keys")  # else the same patients are others
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with servers.postgres() as database, servers.redis() as store:
        settings = Settings(
            home=home, drops=sqlite.drops, key_dir=home / "keys", port=free_port(), airflow_port=free_port(),
            airflow_database=database.url, online_store=store.url,
        )  # fmt: skip
        settings.embedded_llm.symlink_to(sqlite.embedded_llm.resolve())
        airflow_processes.start_airflow(settings)
        yield settings
        airflow_processes.stop_airflow(settings)


def test_a_night_on_postgres_and_redis_has_the_content_of_one_on_sqlite(
    on_servers: Settings, night_done: NightDone
) -> None:
    with dag_runs.open_client(on_servers) as api:
        ended = {dag_id: wait_for_first_run(api, dag_id) for dag_id in airflow_settings.DAG_CHAIN}
    assert {dag_id: run.state for dag_id, run in ended.items()} == dict.fromkeys(ended, "success")
    assert not (airflow_settings.airflow_home(on_servers) / "airflow.db").exists()
    assert not (on_servers.feast / "online.db").exists()

    ours, theirs = on_servers, night_done.settings
    assert night.list_nights(ours) == night.list_nights(theirs)
    assert [n.night for n in saved_nights.list_saved_nights(ours)] == night.list_nights(theirs)
    assert read_data(ours) == read_data(theirs)
    assert read_verdict(ours) == read_verdict(theirs)
    keys = feature_files.scan_rows(theirs.features / "vitals").select("subject_id").unique().collect()
    subjects = sorted(keys["subject_id"].to_list())
    served = [online.read(theirs.feast, subject) for subject in subjects]
    assert [online.read(ours.feast, subject) for subject in subjects] == served
    assert None not in served


def read_data(settings: Settings) -> dict[str, str]:
    """The content hashes of what the stages made but of training, whose figures have times in them."""
    recorded = verify_hashes.read_recorded_hashes(settings.workspace)
    return {name: found for name, found in recorded.items() if name.startswith("data/")}


def read_verdict(settings: Settings) -> dict[str, Any]:
    gate = read_json(settings.metrics / "gate.json")
    return {name: gate[name] for name in ("decision", "value", "ci_low", "ci_high", "n")}
