"""Airflow and its tasks get every setting, and a database by a driver that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from pipelines.night import airflow_settings
from pmlm.settings import Settings, load_settings

NAMES = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC")


def test_the_tasks_have_the_settings_that_the_command_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PMLM_ONLINE_STORE=redis://127.0.0.1:6379/3\nPMLM_K_ANONYMITY=12\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(home=tmp_path / "state", drops=tmp_path / "drops")
    assert settings.k_anonymity == 12
    for name, value in airflow_settings.make_airflow_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(airflow_settings.airflow_home(settings))
    assert load_settings() == settings


@pytest.mark.parametrize(
    ("setting", "driver"), [("sqlite", "aiosqlite"), ("postgresql://airflow:p%40ss@db:5433/runs", "psycopg")]
)
def test_the_database_is_reached_by_drivers_that_are_installed(tmp_path: Path, setting: str, driver: str) -> None:
    settings = Settings(home=tmp_path, airflow_database=setting)
    plain, asynchronous = (airflow_settings.make_airflow_environment(settings)[name] for name in NAMES)
    assert asynchronous.startswith(f"{setting.partition(':')[0]}+{driver}://")
    assert find_spec(driver) is not None
    assert plain.partition("://")[2] == asynchronous.partition("://")[2]
    assert setting.partition("://")[2] in plain
