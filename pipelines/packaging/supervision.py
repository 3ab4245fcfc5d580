"""The endpoint of ``pmlm serve``: this process ends when its endpoint does."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipelines.packaging import serving
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.errors import ServingError
from pmlm.settings import Settings
from pmlm.storage import read_json

POLL_S = 1.0


def serve_in_foreground(settings: Settings, port: int | None, announce: Callable[[RunningEndpoint], None]) -> None:
    """Serve the current release until this process is stopped, or the endpoint by ``pmlm down``.

    :class:`ServingError` where the endpoint dies, so that a service manager starts both again. What a night starts in
    its place, for a release with other code, counts as this process's endpoint from then on.
    """
    endpoint = serving.start_endpoint(settings, port)
    announce(endpoint)
    try:
        while True:
            time.sleep(POLL_S)
            if not serving.find_processes(endpoint):
                successor = _find_successor(settings)
                if successor is None:
                    return
                endpoint = successor
    finally:
        serving.stop_endpoint(endpoint)
        recorded = _read_record(settings)
        if recorded and not serving.find_processes(recorded):  # another of this clinic may have written its own
            serving.record_path(settings).unlink(missing_ok=True)


def _find_successor(settings: Settings) -> RunningEndpoint | None:
    """The endpoint that was started in the place of one that was stopped; None where none was."""
    deadline = time.monotonic() + serving.START_SECONDS
    while time.monotonic() < deadline:
        recorded = _read_record(settings)
        if recorded and not serving.find_processes(recorded):  # whoever stops an endpoint removes its record
            raise ServingError(f"the endpoint has died; its log is {settings.workspace / 'endpoint.log'}")
        if recorded and recorded.ready():
            return recorded
        time.sleep(POLL_S)
    return None


def _read_record(settings: Settings) -> RunningEndpoint | None:
    path = serving.record_path(settings)
    return RunningEndpoint.model_validate(read_json(path)) if path.exists() else None
