"""Two workers of one endpoint: they count together, record together, and lose nothing when one is killed."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from bentos.auth import audit, audit_check
from bentos.personalizer.explanations import Explanations
from pipelines.packaging import serving
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.served_releases import read_served
from pmlm.settings import Settings
from tests.contract.conftest import bearer
from tests.contract.three_women import ADA

LIMIT = 240
ASKED = {
    "model": "m",
    "user": f"Patient/{ADA}",
    "messages": [{"role": "user", "content": "Is it normal to feel tired?"}],
}


@pytest.fixture(scope="module")
def clinic(settings: Settings) -> Settings:
    return settings.model_copy(update={"workers": 2, "rate_limit": f"{LIMIT}/hour"})


@pytest.fixture(scope="module")
def running(clinic: Settings) -> Iterator[RunningEndpoint]:
    with serving.serve_temporarily(clinic) as endpoint:
        yield endpoint


def find_workers(clinic: Settings, running: RunningEndpoint) -> list[psutil.Process]:
    """The processes that have a release loaded."""
    loaded = read_served(clinic)
    return [process for process in serving.find_processes(running) if process.pid in loaded]


def ask(clinic: Settings, running: RunningEndpoint) -> tuple[int, str | None]:
    """Ask over a connection of its own: the status (0: the connection broke), and the answer's id."""
    url = f"{running.url}/v1/chat/completions"
    try:
        answer = httpx.post(url, json=ASKED, headers=bearer(clinic), timeout=60, trust_env=False)
    except httpx.HTTPError:
        return 0, None
    return answer.status_code, answer.headers.get("x-pmlm-answer-id")


def test_what_was_answered_is_recorded_though_a_worker_is_killed_and_both_count_together(
    clinic: Settings, running: RunningEndpoint
) -> None:
    doomed, other = find_workers(clinic, running)
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(ask, clinic, running) for _ in range(LIMIT + 40)]
        while sum(one.done() for one in asked) < 60:
            pass
        used = {p.pid: p.cpu_times().user for p in (doomed, other)}
        os.kill(doomed.pid, signal.SIGKILL)
        answers = [one.result() for one in asked]
    assert all(used.values())
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {200, 429, 0}
    assert LIMIT - statuses[0] <= statuses[200] <= LIMIT  # a broken connection's request may have been counted
    assert statuses[429] >= 40 - statuses[0]

    given = {id_ for status, id_ in answers if status == 200}
    lines = [line for path in (clinic.workspace / "interactions").glob("*.jsonl") for line in path.open()]
    assert given <= {json.loads(line)["id"] for line in lines}
    explanations = Explanations(clinic)
    assert all(explanations.find(id_) is not None for id_ in given if id_)
    assert audit_check.verify(clinic, audit.folder(clinic)).findings == []
    recorded = Counter(access.outcome for access in audit.read(clinic) if access.route == "/v1")
    assert recorded[200] >= statuses[200]
    assert recorded[429] >= statuses[429]


def test_metrics_are_of_both_workers(clinic: Settings, running: RunningEndpoint) -> None:
    def read_count() -> int:
        text = httpx.get(f"{running.url}/metrics", trust_env=False).text
        found = re.findall(r'pmlm_requests_total\{[^}]*status="401"[^}]*\} (\d+)', text)
        return sum(int(one) for one in found)

    before = read_count()
    for _ in range(20):
        httpx.get(f"{running.url}/v1/models", trust_env=False)
    assert {read_count() for _ in range(10)} == {before + 20}
