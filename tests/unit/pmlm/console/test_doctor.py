"""What is missing is named with its remedy; what is there is reported as well."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bentos.auth import keys
from pipelines.port_holder import UNKNOWN, name_holder
from pmlm.console.doctor import Diagnosis, run_checks
from pmlm.settings import Settings
from tests.unit.pipelines.features.servers import Server, postgres, redis
from tests.unit.pipelines.night.conftest import write_drop


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A clinic with one drop, which is not ingested."""
    write_drop(tmp_path / "clinic" / "2026-03-01", 60.0)
    return Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys")


def found(settings: Settings, name: str) -> Diagnosis:
    return next(check for check in run_checks(settings) if check.name == name)


def test_a_clinic_that_can_run_has_nothing_bad(settings: Settings) -> None:
    assert [check for check in run_checks(settings) if check.verdict == "bad"] == []


def test_every_finding_that_is_not_well_says_how_to_mend_it(settings: Settings) -> None:
    assert all(check.mend for check in run_checks(settings) if check.verdict != "ok")


def test_a_missing_drops_folder_is_bad(tmp_path: Path) -> None:
    check = found(Settings(home=tmp_path / "state", drops=tmp_path / "nowhere"), "drops")
    assert check.verdict == "bad"
    assert "DROPS=" in check.mend


def test_a_key_that_others_can_read_is_bad(settings: Settings) -> None:
    _ = settings.hash_key
    key = settings.key_dir / "clinic.key"
    assert found(settings, "patient key").verdict == "ok"
    key.chmod(0o644)
    check = found(settings, "patient key")
    assert check.verdict == "bad"
    assert check.mend == f"chmod 600 {key}"


def test_a_token_key_that_others_can_read_and_a_provider_without_a_name_are_bad(settings: Settings) -> None:
    assert found(settings, "tokens").verdict == "note"
    keys.development_token(settings)
    assert found(settings, "tokens").verdict == "ok"
    keys.key_path(settings).chmod(0o640)
    assert found(settings, "tokens").verdict == "bad"
    nameless = Settings(**settings.model_dump() | {"token_jwks_url": "https://id.example/jwks"})
    assert "PMLM_TOKEN_ISSUER" in found(nameless, "tokens").mend


def test_a_public_key_is_only_for_a_synthetic_clinic(settings: Settings) -> None:
    (settings.drops / "clinic.yaml").write_text("hash_key: public\n")
    assert found(settings, "patient key").verdict == "bad"


def test_a_port_taken_by_another_program_is_bad(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Settings(**settings.model_dump() | {"airflow_port": other.getsockname()[1]})
        check = found(taken, "Airflow's port")
    assert check.verdict == "bad"
    assert f"(process {os.getpid()})" in check.found
    assert "PMLM_AIRFLOW_PORT" in check.mend


def test_who_holds_a_port_is_named_without_its_arguments(settings: Settings) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "secret"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as other:
        try:
            while name_holder(port) == UNKNOWN and other.poll() is None:
                time.sleep(0.05)
            check = found(Settings(**settings.model_dump() | {"port": port}), "endpoint's port")
        finally:
            other.kill()
    assert check.found.startswith(f"{port} is taken by python")
    assert check.found.endswith(f" -m http.server (process {other.pid})")


@pytest.mark.parametrize("start", [redis, postgres])
def test_the_configured_store_is_reached_before_it_is_filled(
    settings: Settings, start: Callable[[], AbstractContextManager[Server]]
) -> None:
    with start() as server:
        asked = settings.model_copy(update={"online_store": server.url})
        answers = found(asked, "online store")
        with server.frozen():
            silent = found(asked, "online store")
        wrong = found(asked.model_copy(update={"online_store": server.url.replace("%", "%25")}), "online store")
    shown = f"{server.url.split(':')[0]}://127.0.0.1:{server.port}"
    assert (answers.verdict, answers.found) == ("note", f"{shown}, not filled yet")
    for check in (silent, wrong):
        assert check.verdict == "bad"
        assert check.found.startswith(f"{shown}: the online store does not answer: ")
        assert "PMLM_ONLINE_STORE" in check.mend


def test_a_postgres_of_airflow_that_does_not_answer_is_bad_and_its_password_stays_hidden(settings: Settings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        asked = Settings(**settings.model_dump() | {"airflow_database": f"postgresql://airflow:secret@{address}/runs"})
        check = found(asked, "Airflow's database")
    assert check.verdict == "bad"
    assert check.found == f"postgresql://{address}: OperationalError"
    assert "PMLM_AIRFLOW_DATABASE" in check.mend


def test_a_language_model_that_does_not_answer_is_bad(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    check = found(Settings(**settings.model_dump() | {"llm_base_url": url}), "language model")
    assert check.verdict == "bad"
    assert "PMLM_LLM_BASE_URL" in check.mend


@pytest.mark.parametrize("name", ["workspace", "online store", "release", "embedded model"])
def test_what_the_first_night_makes_is_only_noted(settings: Settings, name: str) -> None:
    assert found(settings, name).verdict == "note"


def test_spark_is_checked_where_it_is_asked_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {check.name for check in run_checks(settings)} & {"feature engine", "Spark by Airflow"}
    monkeypatch.setattr("pmlm.console.doctor.find_spec", lambda name: None)
    monkeypatch.setattr("pmlm.console.doctor.distributions", lambda: iter(()))
    asked = settings.model_copy(update={"engine": "spark", "spark_connection": "clinic_spark"})
    engine, airflow = found(asked, "feature engine"), found(asked, "Spark by Airflow")
    assert (engine.verdict, airflow.verdict) == ("bad", "bad")
    assert "pyspark" in engine.found
    assert "pmlm[spark]" in engine.mend
    assert "apache-airflow-providers-apache-spark" in airflow.mend
