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
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import BaseModel

from bentos.auth.keys import development_token
from bentos.personalizer import release as releases
from pipelines.packaging.bento import bento_home, make_serving_environment
from pmlm.api_types import PersonalizeRequest
from pmlm.client import Client
from pmlm.errors import EndpointError, ServingError, UnknownPatientError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

START_SECONDS = 180.0
STOP_SECONDS = 15.0
SWITCH_SECONDS = 60.0  # until a worker on a busy machine has loaded another release
#: What uvicorn logs when a worker cannot load its release; the supervisor would restart it for ever.
STARTUP_FAILED = "Application startup failed"


class EndpointProcess(BaseModel):
    """A process by id and the kernel's start tick, which distinguishes a reused id."""

    pid: int
    tick: int


class RunningEndpoint(BaseModel):
    """A running endpoint: address, the release it serves, the bento it began with, processes, the supervisor first."""

    host: str
    port: int
    release: str
    bento: str
    family: list[EndpointProcess]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ready(self) -> bool:
        """Whether it is loaded and answers."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def read_release(self) -> str | None:
        """The release that it serves now; None where it does not answer."""
        try:
            found = httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False)
            return str(found.raise_for_status().json()["release"])
        except httpx.HTTPError:
            return None

    def answer(self, request: PersonalizeRequest, token: str, seconds: float) -> dict[str, Any]:
        """The answer of ``POST /answer`` to one question, waited for at most ``seconds``.

        :class:`UnknownPatientError` for an unknown patient, :class:`ServingError` for every other problem.
        """
        try:
            with Client(self.url, token, seconds) as client:
                answer = client.answer(request.patient, request.question, request.language)
        except EndpointError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise UnknownPatientError(error.detail) from None
            raise
        return answer.model_dump(mode="json")

    def ask_page(self, route: str, request: PersonalizeRequest, token: str, seconds: float) -> dict[str, Any]:
        """What the page is answered by one of its own routes; :class:`ServingError` without an answer."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = httpx.post(
                f"{self.url}/page/api/{route}",
                json=request.model_dump(),
                headers=headers,
                timeout=seconds,
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ServingError(f"/page/api/{route}: {type(error).__name__}") from None
        found: dict[str, Any] = answer.json()
        return found


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
        _wait_until_ready(endpoint, process, log)
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
    if _has_same_code(settings, endpoint.bento, release.bento) and _wait_until_served(endpoint, release.id):
        switched = endpoint.model_copy(update={"release": release.id})
        write_json(record_path(settings), switched.model_dump())
        return
    stop_recorded_endpoint(settings)
    start_endpoint(settings, endpoint.port)


def _has_same_code(settings: Settings, first: str, second: str) -> bool:
    store = bento_home(settings) / "bentos"
    files = [store / bento.replace(":", "/") / "src" / releases.CODE for bento in (first, second)]
    return all(file.exists() for file in files) and files[0].read_bytes() == files[1].read_bytes()


def _wait_until_served(endpoint: RunningEndpoint, release: str) -> bool:
    deadline = time.monotonic() + SWITCH_SECONDS
    while time.monotonic() < deadline:
        if endpoint.read_release() == release:
            return True
        time.sleep(0.1)
    return False


def smoke_test_release(settings: Settings, night: str, patient: str, question: str) -> dict[str, Any]:
    """Ask the night's own release one question over HTTP; returns the answer of ``POST /answer``."""
    release = releases.read_release(current_release(settings))
    if release.night != night:
        raise ServingError(f"the current release is of night {release.night}, not {night}")
    with serve_temporarily(settings) as endpoint:
        request = PersonalizeRequest(patient=patient, question=question)
        return endpoint.answer(request, development_token(settings), settings.llm_timeout_s + 30)


def _check_port(host: str, port: int) -> int:
    """``port`` if it is free (0: any free one); :class:`ServingError` if something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingError(f"port {port} of {host} is taken: set PMLM_PORT to a free one") from error
        return int(probe.getsockname()[1])


def _wait_until_ready(endpoint: RunningEndpoint, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not endpoint.ready():
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
