"""The endpoint's processes: one port, one owner, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from pipelines.packaging import serving
from pmlm.errors import ServingError
from pmlm.settings import Settings
from tests.command_line import environment
from tests.contract.three_women import ADA, NIGHT


def test_an_endpoint_is_up_written_down_and_gone_without_a_trace(settings: Settings) -> None:
    endpoint = serving.start_endpoint(settings, 0)
    assert serving.find_running_endpoint(settings) == endpoint
    assert len(serving.find_processes(endpoint)) >= 2  # a supervisor and its worker
    assert serving.stop_recorded_endpoint(settings)
    assert serving.find_processes(endpoint) == []
    assert serving.find_running_endpoint(settings) is None
    assert not serving.stop_recorded_endpoint(settings)


def test_serve_takes_its_endpoint_along_when_it_is_terminated(settings: Settings) -> None:
    serve, endpoint = start_serve(settings)
    serve.terminate()
    assert serve.wait(60) == 0
    assert serving.find_processes(endpoint) == []
    assert not serving.record_path(settings).exists()


def test_serve_follows_an_endpoint_that_a_night_starts_in_place_and_fails_where_it_dies(settings: Settings) -> None:
    serve, first = start_serve(settings)
    try:
        assert serving.stop_recorded_endpoint(settings)  # as for a release with other code
        second = serving.start_endpoint(settings, first.port)
        assert serve.poll() is None
        for process in serving.find_processes(second):
            process.kill()
        assert serve.wait(60) == 1
        assert "the endpoint has died" in serve.communicate()[1]
        assert not serving.record_path(settings).exists()
    finally:
        serve.kill()


def start_serve(settings: Settings) -> tuple[subprocess.Popen[str], serving.RunningEndpoint]:
    """Run ``pmlm serve`` until its endpoint answers."""
    command = [sys.executable, "-m", "pmlm.cli.main", "serve", "--port", "0"]
    pipe = subprocess.PIPE
    serve = subprocess.Popen(command, env=environment(settings), stdout=pipe, stderr=pipe, text=True)
    assert serve.stdout is not None
    assert "answers at" in serve.stdout.readline()
    endpoint = serving.find_running_endpoint(settings)
    assert endpoint is not None
    return serve, endpoint


def test_a_worker_whose_supervisor_was_killed_is_ended_too(settings: Settings) -> None:
    endpoint = serving.start_endpoint(settings, 0)
    supervisor, *workers = serving.find_processes(endpoint)
    assert workers
    os.kill(supervisor.pid, signal.SIGKILL)
    assert serving.stop_recorded_endpoint(settings)
    assert serving.find_processes(endpoint) == []


def test_a_taken_port_is_said_before_anything_is_started(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServingError, match="is taken"):
            serving.start_endpoint(settings, taken.getsockname()[1])


def test_a_bento_that_cannot_load_is_reported_with_its_reason_and_leaves_no_process(
    settings: Settings,
) -> None:
    models = settings.workspace / "bentoml" / "models"
    hidden = models.with_name("hidden")
    models.rename(hidden)
    try:
        with pytest.raises(ServingError, match="does not start"):
            serving.start_endpoint(settings, 0)
    finally:
        hidden.rename(models)
    assert not serving.find_running_endpoint(settings)


def test_the_night_asks_its_own_release_one_question(settings: Settings) -> None:
    answer = serving.smoke_test_release(settings, NIGHT, f"Patient/{ADA}", "Is it normal to feel this tired?")
    assert answer["answer"]
    assert answer["prompt"] != answer["initial_prompt"]
    with pytest.raises(ServingError, match="not 20200101"):
        serving.smoke_test_release(settings, "20200101", ADA, "Is it normal to feel this tired?")
