"""Running workers go on to another release while they answer: no request fails, none mixes two releases."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import jwt
import pytest
from typer.testing import CliRunner

from bentos.personalizer.release import CODE, read_release
from pipelines.packaging import bento, release, serving
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.cli.main import app
from pmlm.settings import Settings, load_settings
from tests.contract.conftest import bearer
from tests.contract.three_women import ADA, NIGHT

NEXT = "20260603"
ASKED = {"patient": f"Patient/{ADA}", "question": "Is it normal to feel this tired?"}


@pytest.fixture(scope="module")
def clinic(packaged: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A clinic with a second release, made after the first is served."""
    root = tmp_path_factory.mktemp("switching")
    shutil.copytree(packaged.home, root / "state", symlinks=True)
    return load_settings(home=root / "state", drops=packaged.drops, key_dir=packaged.key_dir, workers=2)


@pytest.fixture(scope="module")
def running(clinic: Settings) -> Iterator[RunningEndpoint]:
    endpoint = serving.start_endpoint(clinic, 0)
    yield endpoint
    serving.stop_recorded_endpoint(clinic)


@pytest.fixture(scope="module")
def other(clinic: Settings, running: RunningEndpoint) -> Path:
    """Another release than the one that is served."""
    link = serving.current_release(clinic)
    served = link.resolve()
    release.run(clinic, NEXT)
    made = link.resolve()
    release.point_link(link, served)
    return made


def test_a_release_is_switched_under_load_in_both_directions(clinic: Settings, running: RunningEndpoint) -> None:
    link = serving.current_release(clinic)
    first = link.resolve()
    family = serving.find_processes(running)
    with _ask_without_end(clinic, running) as answers:
        release.run(clinic, NEXT)
        serving.switch_to_current_release(clinic)
        second = link.resolve()
        assert running.read_release() == second.name != first.name
        release.point_link(link, first)
        serving.switch_to_current_release(clinic)
        assert running.read_release() == first.name
    assert {response.status_code for response in answers} == {200}
    named = {(r.json()["versions"]["release"], r.json()["versions"]["refiner"]) for r in answers}
    assert named == {(read_release(f).id, read_release(f).refiner) for f in (first, second)}
    assert serving.find_processes(running) == family
    found = serving.find_running_endpoint(clinic)
    assert found is not None
    assert (found.release, found.bento) == (first.name, running.bento)


def test_a_link_to_the_running_endpoint_signs_in_for_as_long_as_is_asked(
    clinic: Settings, running: RunningEndpoint
) -> None:
    own = {"PMLM_HOME": str(clinic.home), "PMLM_KEY_DIR": str(clinic.key_dir), "PMLM_DROPS": str(clinic.drops)}
    printed = CliRunner().invoke(app, ["link", "--minutes", "30"], env=own).stdout.strip()
    address, _, token = printed.partition("#token=")
    assert address == f"{running.url}/"
    signed = httpx.post(
        f"{running.url}/personalize", json=ASKED, headers={"authorization": f"Bearer {token}"}, timeout=60
    )
    assert signed.is_success
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 30 * 60
    operations = CliRunner().invoke(app, ["link", "--ops"], env=own).stdout
    assert operations.startswith(f"{running.url}/ops#token=")


@pytest.mark.fault(
    "model",
    "a release whose policy or manifest is corrupted",
    "the former one is served throughout; the next sound one is followed",
)
@pytest.mark.parametrize(
    ("file", "reason"),
    [("refiner/refiner.json", "refiner/refiner.json is changed"), ("release.json", "the current release cannot be")],
)
def test_a_damaged_release_is_not_served_and_the_former_one_is(
    clinic: Settings, running: RunningEndpoint, other: Path, file: str, reason: str
) -> None:
    link = serving.current_release(clinic)
    whole = link.resolve()
    assert other != whole
    damaged = link.parent / f"damaged-{Path(file).stem}"
    shutil.copytree(other, damaged)
    torn = damaged / file
    torn.write_bytes(torn.read_bytes()[:-2])
    log = clinic.workspace / "endpoint.log"
    seen = log.read_text().count(reason)
    release.point_link(link, damaged)
    try:
        while log.read_text().count(reason) == seen:
            assert httpx.post(f"{running.url}/personalize", json=ASKED, headers=bearer(clinic), timeout=60).is_success
        assert running.read_release() == whole.name
    finally:
        release.point_link(link, whole)
        shutil.rmtree(damaged)
    family = serving.find_processes(running)
    for sound in (other, whole):  # and the next sound one is followed
        release.point_link(link, sound)
        serving.switch_to_current_release(clinic)
        assert running.read_release() == sound.name
    assert serving.find_processes(running) == family


def test_other_code_is_left_to_a_restart(clinic: Settings, running: RunningEndpoint, other: Path) -> None:
    link = serving.current_release(clinic)
    code = _source_of(clinic, other) / CODE
    code.write_text("another hash")
    release.point_link(link, other)
    serving.switch_to_current_release(clinic)
    restarted = serving.find_running_endpoint(clinic)
    assert restarted is not None
    assert restarted.bento == read_release(other).bento
    assert restarted.read_release() == other.name
    assert serving.find_processes(running) == []
    assert read_release(other).night in (NIGHT, NEXT)


def _source_of(settings: Settings, folder: Path) -> Path:
    return bento.bento_home(settings) / "bentos" / read_release(folder).bento.replace(":", "/") / "src"


@contextmanager
def _ask_without_end(settings: Settings, endpoint: RunningEndpoint) -> Iterator[list[httpx.Response]]:
    """Ask one question after the other until the block ends."""
    answers: list[httpx.Response] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=endpoint.url, headers=bearer(settings), timeout=60, trust_env=False) as client:
            while not ended.is_set():
                answers.append(client.post("/personalize", json=ASKED))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()
