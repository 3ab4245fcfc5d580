"""Airflow's configuration, all of it as environment variables.

Airflow reads them when it is first imported, so ``configure_airflow`` comes before any import of airflow.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pmlm.settings import PROJECT, Settings, format_settings

DAG_ID = "nightly"
#: DAG → its task whose asset starts the next one.
DAG_CHAIN = {DAG_ID: "cause", "retrain": "evaluate", "promote": None}
POOL = "pmlm_writer"
USER = "admin"


def airflow_home(settings: Settings) -> Path:
    """Airflow's state, shared by all clinics: database, logs, login."""
    return settings.home.resolve() / "airflow"


def login_path(settings: Settings) -> Path:
    """The generated login of Airflow's web page: JSON ``{user: password}``, mode 600."""
    return airflow_home(settings) / "login.json"


def record_path(settings: Settings) -> Path:
    """The file that records the running Airflow: ``{sessions, mark, clinic}``."""
    return airflow_home(settings) / "running.json"


def page_url(settings: Settings) -> str:
    return f"http://{settings.host}:{settings.airflow_port}"


def make_airflow_environment(settings: Settings) -> dict[str, str]:
    """The variables with which Airflow and its child processes run this clinic's nights."""
    where = airflow_home(settings)
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not login_path(settings).exists():
        os.close(os.open(login_path(settings), os.O_CREAT | os.O_WRONLY, 0o600))
        login_path(settings).write_text("{}")
    return {
        "AIRFLOW_HOME": str(where),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{page_url(settings)}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(login_path(settings)),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(where / "logs"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__API__HOST": settings.host,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": _read_or_create_secret(where / "session.secret"),
        "AIRFLOW__API_AUTH__JWT_SECRET": _read_or_create_secret(where / "jwt.secret"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads must not spin
        **_make_addresses(settings),
        **format_settings(settings),  # all: Airflow runs in another folder, where no .env of this one is read
        "PMLM_HOME": str(settings.home.resolve()),
        "PMLM_DROPS": str(settings.drops.resolve()),
    }


def _make_addresses(settings: Settings) -> dict[str, str]:
    """Airflow's database, by the drivers that are installed: psycopg is both of Postgres'."""
    if settings.airflow_database == "sqlite":
        path = airflow_home(settings) / "airflow.db"
        addresses = (f"sqlite:///{path}", f"sqlite+aiosqlite:///{path}")
    else:
        address = settings.airflow_database.replace("postgresql://", "postgresql+psycopg://", 1)
        addresses = (address, address)
    names = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC")
    return dict(zip(names, addresses, strict=True))


def configure_airflow(settings: Settings) -> None:
    """Set Airflow's environment in this process."""
    os.environ.update(make_airflow_environment(settings))


def _read_or_create_secret(path: Path) -> str:
    """A random secret of 64 bytes, created on first use with mode 600."""
    if not path.exists():
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(64))
    return path.read_text()
