"""Start the endpoint from the current release's bento, find it again, and stop it without leaving a process.

BentoML's supervisor puts its workers into sessions of their own, so a process group does not hold them together.
Every process of one endpoint therefore carries the endpoint's mark in its environment, and is found by it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import BaseModel

from bentos import release as releases
from bentos.api_types import PersonalizeRequest
from pipelines.errors import ServingError, UnknownPatientError
from pipelines.packaging.bento import environment
from pipelines.settings import Settings
from pipelines.storage import read_json, write_json

MARK = "PMLM_ENDPOINT"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
#: What uvicorn says when a worker cannot load its release; the supervisor would start it again for ever.
FAILED = "Application startup failed"


class Endpoint(BaseModel):
    """A running endpoint: where it listens, what it serves, and the mark of its processes."""

    host: str
    port: int
    mark: str
    release: str
    bento: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ready(self) -> bool:
        """Whether it is loaded and answers."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, route: str, request: PersonalizeRequest, seconds: float) -> dict[str, Any]:
        """POST one question to ``route``, waiting at most ``seconds``.

        :class:`UnknownPatientError` for an unknown patient, :class:`ServingError` for every other problem.
        """
        try:
            response = httpx.post(f"{self.url}{route}", json=request.model_dump(), timeout=seconds, trust_env=False)
        except httpx.HTTPError as error:
            raise ServingError(f"the endpoint at {self.url} does not answer ({type(error).__name__})") from error
        answer: dict[str, Any] = response.json()
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise UnknownPatientError(answer["detail"])
        if response.headers["content-type"] == "application/problem+json":
            raise ServingError(f"the endpoint answers {response.status_code}: {answer['detail']}")
        return answer


def current(settings: Settings) -> Path:
    """The folder of the release that is served (a symlink)."""
    return settings.workspace / "releases" / "current"


def record(settings: Settings) -> Path:
    """Where the endpoint of ``pmlm up`` or ``pmlm serve`` is written down while it runs."""
    return settings.workspace / "endpoint.json"


def running(settings: Settings) -> Endpoint | None:
    """The endpoint written down for this clinic, if it answers."""
    path = record(settings)
    endpoint = Endpoint.model_validate(read_json(path)) if path.exists() else None
    return endpoint if endpoint and endpoint.ready() else None


def start(settings: Settings, port: int | None = None, *, keep_record: bool = True) -> Endpoint:
    """Serve the current release at ``port`` (default: ``settings.port``; 0: any free one) and wait until it is ready.

    :class:`ServingError` where there is no release, the port is taken, or it does not come up in time; no process
    is left then.
    """
    release = releases.read(current(settings))
    endpoint = Endpoint(
        host=settings.host,
        port=_port(settings.host, settings.port if port is None else port),
        mark=uuid.uuid4().hex,
        release=release.id,
        bento=release.bento,
    )
    log = settings.workspace / "endpoint.log"
    command = [sys.executable, "-m", "bentoml", "serve", endpoint.bento, "--host", endpoint.host]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(endpoint.port)],
            cwd=settings.workspace,
            env=environment(settings) | {MARK: endpoint.mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(endpoint, process, log)
    except BaseException:
        stop(endpoint)
        raise
    if keep_record:
        write_json(record(settings), endpoint.model_dump())
    return endpoint


def stop(endpoint: Endpoint) -> None:
    """End every process of ``endpoint``: TERM, wait, KILL what is left. Harmless where none runs."""
    running = processes(endpoint.mark)
    for process in running:
        _signal(process.terminate)
    psutil.wait_procs(running, timeout=STOP_SECONDS)
    left = processes(endpoint.mark)
    for process in left:
        _signal(process.kill)
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def stop_recorded(settings: Settings) -> bool:
    """Stop the endpoint written down for this clinic; False where none is."""
    path = record(settings)
    if not path.exists():
        return False
    stop(Endpoint.model_validate(read_json(path)))
    path.unlink(missing_ok=True)
    return True


@contextmanager
def served(settings: Settings) -> Iterator[Endpoint]:
    """An endpoint on a free port for the length of a block."""
    endpoint = start(settings, 0, keep_record=False)
    try:
        yield endpoint
    finally:
        stop(endpoint)


def smoke(settings: Settings, night: str, patient: str, question: str) -> dict[str, Any]:
    """Ask one question of the night's own release through HTTP; the answer as ``POST /answer`` gives it."""
    release = releases.read(current(settings))
    if release.night != night:
        raise ServingError(f"the current release is of night {release.night}, not {night}")
    with served(settings) as endpoint:
        request = PersonalizeRequest(patient=patient, question=question)
        return endpoint.ask("/answer", request, settings.llm_timeout_s + 30)


def _port(host: str, port: int) -> int:
    """``port`` if it is free (0: any free one); :class:`ServingError` if something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingError(f"port {port} of {host} is taken: set PMLM_PORT to a free one") from error
        return int(probe.getsockname()[1])


def _wait_until_ready(endpoint: Endpoint, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not endpoint.ready():
        if process.poll() is not None or time.monotonic() > deadline or FAILED in log.read_text(errors="replace"):
            raise ServingError(
                "the endpoint does not start:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:])
            )
        time.sleep(0.1)


def processes(mark: str) -> list[psutil.Process]:
    """Every process whose environment carries ``mark``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _signal(send: Any) -> None:
    with suppress(psutil.NoSuchProcess):
        send()
