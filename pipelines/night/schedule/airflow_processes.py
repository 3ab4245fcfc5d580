"""Start and stop Airflow: web server, scheduler, DAG processor and triggerer, one session each.

Not ``airflow standalone``: that leaves its children behind when it is stopped, and opens log servers on all
interfaces. The processes that a part starts are found by their session or, where one left it, by a mark in their
environment (the mark alone is not enough: a process that sets its title overwrites its environment).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pipelines.night import airflow_settings
from pipelines.night.schedule import airflow_runs
from pipelines.port_holder import name_holder
from pmlm.errors import NightError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

MARK = "PMLM_AIRFLOW"
START_S = 180.0
STOP_S, POLL_S = 20.0, 1.0
PARTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
HEALTH = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def part_log_path(settings: Settings, part: str) -> Path:
    return airflow_settings.airflow_home(settings) / f"{part}.log"


def is_airflow_up(settings: Settings) -> bool:
    """Whether a process of the Airflow that ``up`` started is alive."""
    return bool(find_processes(settings))


def start_airflow(settings: Settings) -> None:
    """Start Airflow and wait until every part is healthy; no-op if it is up.

    NightError, with nothing left running, where its port is taken or it does not come up in time; NightError too
    while a night runs in another process, whose run a scheduler would pick up as its own.
    """
    if is_airflow_up(settings):
        return
    if airflow_runs.is_running_elsewhere(settings):
        raise NightError("a night runs in another process: wait for its end, then start Airflow")
    _check_port_is_free(settings)
    _prepare(settings)
    mark = uuid.uuid4().hex
    environment = os.environ | airflow_settings.make_airflow_environment(settings) | {MARK: mark}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for part, arguments in PARTS.items():
            with part_log_path(settings, part).open("wb") as output:
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "airflow", *arguments],
                        cwd=airflow_settings.airflow_home(settings),
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
            sessions = [process.pid for process in started]
            record = {"sessions": sessions, "mark": mark, "clinic": settings.clinic}
            write_json(airflow_settings.record_path(settings), record)
        _wait_until_healthy(settings, started)
    except BaseException:
        stop_airflow(settings)
        raise


def stop_airflow(settings: Settings) -> bool:
    """End every process of Airflow (TERM, wait, KILL); False where none was recorded."""
    if not airflow_settings.record_path(settings).exists():
        return False
    for signal in ("terminate", "kill"):
        alive = find_processes(settings)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                getattr(process, signal)()
        psutil.wait_procs(alive, timeout=STOP_S)
    if alive := find_processes(settings):
        raise NightError(f"Airflow's processes {[p.pid for p in alive]} cannot be ended")
    airflow_settings.record_path(settings).unlink()
    return True


def read_health(settings: Settings) -> dict[str, str]:
    """Part of Airflow → its reported health; empty where the web server does not answer."""
    import httpx

    try:
        answer = httpx.get(f"{airflow_settings.page_url(settings)}/api/v2/monitor/health", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return {}
    parts: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return {name: str((parts.get(name) or {}).get("status")) for name in HEALTH} if parts else {}


def find_processes(settings: Settings) -> list[psutil.Process]:
    """Every living process of the recorded Airflow."""
    if not airflow_settings.record_path(settings).exists():
        return []
    recorded = read_json(airflow_settings.record_path(settings))
    sessions, mark = recorded["sessions"], recorded["mark"]
    return [process for process in psutil.process_iter() if _belongs_to_airflow(process, sessions, mark)]


def _belongs_to_airflow(process: psutil.Process, sessions: list[int], mark: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return os.getsid(process.pid) in sessions or process.environ().get(MARK) == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
        return False


def _prepare(settings: Settings) -> None:
    """Prepare Airflow's database in another process, so that this one need not load Airflow."""
    load = "from pipelines.night.schedule import airflow_runs as runs"
    code = f"{load}; runs.prepare_database(); runs.fail_leftover_runs()"
    environment = os.environ | airflow_settings.make_airflow_environment(settings)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NightError(f"Airflow's database cannot be prepared:\n{done.stderr[-2000:]}")


def _wait_until_healthy(settings: Settings, started: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_S
    while set(read_health(settings).values()) != {"healthy"}:
        ended = [part for part, process in zip(PARTS, started, strict=True) if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            log = part_log_path(settings, ended[0] if ended else "scheduler")
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
            raise NightError(f"Airflow does not come up; {log} ends with:\n{tail}")
        time.sleep(POLL_S)


def _check_port_is_free(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.airflow_port))
        except OSError as error:
            holder = f"port {settings.airflow_port} is taken by {name_holder(settings.airflow_port)}"
            raise NightError(f"{holder}: stop that, or set PMLM_AIRFLOW_PORT to a free one") from error
