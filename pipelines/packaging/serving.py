"""Start, find and stop the endpoint of the current release, with all its processes.

BentoML's supervisor puts its workers into sessions of their own and overwrites its environment, so neither a process
group nor a mark identifies them. The endpoint's processes are therefore recorded by id and start time, and
descendants are found through them.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from bentos.auth.keys import development_token
from bentos.personalizer import release as releases
from pipelines.packaging.bento import bento_home, make_serving_environment
from pipelines.packaging.running_endpoint import EndpointProcess, RunningEndpoint
from pipelines.port_holder import name_holder
from pmlm.api_types import PersonalizeRequest
from pmlm.errors import ServingError
from pmlm.served_releases import read_served
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json
from pmlm.worker_count import count_workers

START_SECONDS = 180.0
STOP_SECONDS = 15.0
SWITCH_SECONDS = 60.0  # until a worker on a busy machine has loaded another release
#: What uvicorn logs when a worker cannot load its release; the supervisor would restart it for ever.
STARTUP_FAILED = "Application startup failed"


def current_release(settings: Settings) -> Path:
    """The folder of the current release (a symlink)."""
    return settings.workspace / "releases" / "current"


def record_path(settings: Settings) -> Path:
    """The file that records the endpoint of ``pmlm up`` or ``pmlm serve`` while it runs."""
    return settings.workspace / "endpoint.json"


def find_running_endpoint(settings: Settings) -> RunningEndpoint | None:
    """The recorded endpoint of this clinic, if it answers."""
    path = record_path(settings)
    endpoint = RunningEndpoint.model_validate(read_json(path)) if path.exists() else None
    return endpoint if endpoint and endpoint.ready() else None


def read_started_bento(settings: Settings) -> str | None:
    """The bento with which the recorded endpoint was started, and starts a worker again; None without one."""
    path = record_path(settings)
    return RunningEndpoint.model_validate(read_json(path)).bento if path.exists() else None


def start_endpoint(settings: Settings, port: int | None = None, *, keep_record: bool = True) -> RunningEndpoint:
    """Serve the current release and wait until it is ready.

    ``port`` defaults to ``settings.port``; 0 is any free one. :class:`ServingError`, with no process left, where
    there is no release, the port is taken, or the endpoint does not come up in time.
    """
    release = releases.read_release(current_release(settings))
    port = _check_port(settings.host, settings.port if port is None else port)
    log = settings.workspace / "endpoint.log"
    command = [sys.executable, "-m", "bentoml", "serve", release.bento, "--host", settings.host, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=settings.workspace,
            env=make_serving_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    family = [_identify(psutil.Process(process.pid))]
    endpoint = RunningEndpoint(host=settings.host, port=port, release=release.id, bento=release.bento, family=family)
    try:
        _wait_until_ready(settings, endpoint, process, log)
    except BaseException:
        stop_endpoint(endpoint)
        raise
    endpoint.family = [_identify(p) for p in find_processes(endpoint)]
    if keep_record:
        write_json(record_path(settings), endpoint.model_dump())
    return endpoint


def stop_endpoint(endpoint: RunningEndpoint) -> None:
    """End every process of ``endpoint``: TERM, wait, KILL. Harmless where none runs."""
    family = find_processes(endpoint)
    ids = {process.pid for process in family}
    for process in family:
        with suppress(psutil.NoSuchProcess):
            # not a worker whose supervisor lives: the supervisor ends its workers, and would replace a dead one
            if process.ppid() not in ids:
                process.terminate()
    for process in _wait_for_exit(family):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for_exit(family)


def find_processes(endpoint: RunningEndpoint) -> list[psutil.Process]:
    """The endpoint's living processes: the recorded ones and their descendants, the supervisor first."""
    found: dict[psutil.Process, None] = {}
    for member in endpoint.family:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(member.pid)
            if _identify(process) == member:
                found |= dict.fromkeys((process, *process.children(recursive=True)))
    return [process for process in found if _is_alive(process)]


def stop_recorded_endpoint(settings: Settings) -> bool:
    """Stop the recorded endpoint of this clinic; False where none is recorded."""
    path = record_path(settings)
    if not path.exists():
        return False
    stop_endpoint(RunningEndpoint.model_validate(read_json(path)))
    path.unlink(missing_ok=True)
    return True


@contextmanager
def serve_temporarily(settings: Settings) -> Iterator[RunningEndpoint]:
    """Run an endpoint on a free port until the block ends."""
    endpoint = start_endpoint(settings, 0, keep_record=False)
    try:
        yield endpoint
    finally:
        stop_endpoint(endpoint)


def switch_to_current_release(settings: Settings) -> None:
    """Let this clinic's running endpoint serve the current release, without a request that fails.

    Its worker goes on to a release of the same code by itself; only for other code the endpoint is started again,
    which takes seconds without an answer.
    """
    endpoint = find_running_endpoint(settings)
    if endpoint is None or endpoint.release == current_release(settings).resolve().name:
        return
    release = releases.read_release(current_release(settings))
    if _has_same_code(settings, endpoint.bento, release.bento) and _wait_until_served(settings, endpoint, release.id):
        switched = endpoint.model_copy(update={"release": release.id})
        write_json(record_path(settings), switched.model_dump())
        return
    stop_recorded_endpoint(settings)
    start_endpoint(settings, endpoint.port)


def _has_same_code(settings: Settings, first: str, second: str) -> bool:
    store = bento_home(settings) / "bentos"
    files = [store / bento.replace(":", "/") / "src" / releases.CODE for bento in (first, second)]
    return all(file.exists() for file in files) and files[0].read_bytes() == files[1].read_bytes()


def _wait_until_served(settings: Settings, endpoint: RunningEndpoint, release: str) -> bool:
    """Whether every worker serves the release in time."""
    deadline = time.monotonic() + SWITCH_SECONDS
    while time.monotonic() < deadline:
        served = _read_served(settings, endpoint)
        if endpoint.read_release() == release and set(served.values()) <= {release}:
            return True
        time.sleep(0.1)
    return False


def _read_served(settings: Settings, endpoint: RunningEndpoint) -> dict[int, str]:
    """The release that each of the endpoint's workers has noted; none where its bento is of an older version."""
    family = {process.pid for process in find_processes(endpoint)}
    return {pid: release for pid, release in read_served(settings).items() if pid in family}


def _count_loaded(settings: Settings, endpoint: RunningEndpoint) -> int:
    """How many workers have loaded a release; of a bento of an older version the one that answers is all."""
    return len(_read_served(settings, endpoint)) or count_workers(settings)


def smoke_test_release(settings: Settings, night: str, patient: str, question: str) -> dict[str, Any]:
    """Ask the night's own release one question over HTTP; returns the answer of ``POST /answer``."""
    release = releases.read_release(current_release(settings))
    if release.night != night:
        raise ServingError(f"the current release is of night {release.night}, not {night}")
    with serve_temporarily(settings.model_copy(update={"workers": 1})) as endpoint:
        request = PersonalizeRequest(patient=patient, question=question)
        return endpoint.answer(request, development_token(settings), settings.llm_timeout_s + 30)


def _check_port(host: str, port: int) -> int:
    """``port`` if it is free (0: any free one); :class:`ServingError` if something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingError(
                f"port {port} of {host} is taken by {name_holder(port)}: stop that, or set PMLM_PORT to a free one"
            ) from error
        return int(probe.getsockname()[1])


def _wait_until_ready(
    settings: Settings, endpoint: RunningEndpoint, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Wait until every worker has loaded its release."""
    deadline = time.monotonic() + START_SECONDS
    while not (endpoint.ready() and _count_loaded(settings, endpoint) >= count_workers(settings)):
        if (
            process.poll() is not None
            or time.monotonic() > deadline
            or STARTUP_FAILED in log.read_text(errors="replace")
        ):
            raise ServingError(
                "the endpoint does not start:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:])
            )
        time.sleep(0.1)


def _identify(process: psutil.Process) -> EndpointProcess:
    try:
        after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        raise psutil.NoSuchProcess(process.pid) from None
    # not psutil's create_time: that one moves when the wall clock is set
    return EndpointProcess(pid=process.pid, tick=int(after_name.split()[19]))


def _wait_for_exit(family: list[psutil.Process]) -> list[psutil.Process]:
    """The processes still alive after at most ``STOP_SECONDS``; a zombie counts as ended."""
    deadline = time.monotonic() + STOP_SECONDS
    while (alive := [p for p in family if _is_alive(p)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
