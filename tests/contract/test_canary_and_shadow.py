"""A canary serves a fixed share of patients, a shadow nobody; each answer names the release that made it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bentos.personalizer.release import read_release
from pipelines.packaging import release, serving
from pipelines.packaging.serving import RunningEndpoint
from pmlm.settings import Settings, load_settings
from tests.contract.conftest import bearer
from tests.contract.three_women import ADA, NIGHT

NEXT = "20260604"
QUESTIONS = ("Is it normal to feel this tired?", "Can I take ibuprofen?", "What may I eat?")

Start = Callable[..., RunningEndpoint]


@pytest.fixture(scope="module")
def clinic(packaged: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A clinic that serves its first release and has a second one."""
    root = tmp_path_factory.mktemp("canary")
    shutil.copytree(packaged.home, root / "state", symlinks=True)
    settings = load_settings(home=root / "state", drops=packaged.drops, key_dir=packaged.key_dir)
    link = serving.current_release(settings)
    first = link.resolve()
    release.run(settings, NEXT)
    release.point_link(link, first)
    return settings


@pytest.fixture
def start(clinic: Settings) -> Iterator[Start]:
    def start(**settings: object) -> RunningEndpoint:
        return serving.start_endpoint(clinic.model_copy(update=settings), 0)

    yield start
    serving.stop_recorded_endpoint(clinic)


def find_folder(clinic: Settings, night: str) -> Path:
    folders = {f.resolve() for f in serving.current_release(clinic).parent.glob("*/")}
    return next(f for f in folders if read_release(f).night == night)


def ask(clinic: Settings, endpoint: RunningEndpoint, question: str) -> dict[str, str]:
    asked = {"patient": f"Patient/{ADA}", "question": question}
    answer = httpx.post(f"{endpoint.url}/personalize", json=asked, headers=bearer(clinic), timeout=60)
    versions: dict[str, str] = answer.raise_for_status().json()["versions"]
    return versions


def read_metrics(clinic: Settings, endpoint: RunningEndpoint) -> str:
    return httpx.get(f"{endpoint.url}/metrics", headers=bearer(clinic), timeout=60).text


def test_a_canary_of_all_serves_everybody_and_a_shadow_is_compared_with_it(clinic: Settings, start: Start) -> None:
    first, second = (find_folder(clinic, night).name for night in (NIGHT, NEXT))
    endpoint = start(canary=second, canary_share=1.0, shadow=first)
    assert endpoint.read_release() == first
    assert {ask(clinic, endpoint, question)["release"] for question in QUESTIONS} == {second}
    while f'pmlm_shadow_total{{outcome="compared"}} {len(QUESTIONS)}.0' not in (text := read_metrics(clinic, endpoint)):
        assert "failed" not in text
    assert f"pmlm_shadow_overlap_count {len(QUESTIONS)}.0" in text


def test_one_that_cannot_be_loaded_is_logged_and_the_current_release_is_served(clinic: Settings, start: Start) -> None:
    endpoint = start(canary="no-such-release", canary_share=1.0)
    assert ask(clinic, endpoint, QUESTIONS[0])["release"] == find_folder(clinic, NIGHT).name
    assert "no-such-release" in (clinic.workspace / "endpoint.log").read_text()
