"""What the tutorials tell a user to type works, word for word, in this order, on a small clinic after its night.

A block after ``<!-- run -->`` is run; a page's blocks are one shell session. It happens in a copy of the shared
clinic, so that whatever a tutorial does is nobody else's.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pmlm.settings import PROJECT, Settings
from tests.conftest import NightDone

RUN = re.compile(r"^<!-- run -->\n```\w*\n(.*?)^```$", re.M | re.S)
TUTORIALS = sorted((PROJECT / "docs" / "tutorials").glob("*.md"))
#: What each page's session must have printed: proof that the commands did what the page says they do.
PRINTED = {
    "application-developer": ("<record>", "pregnancy", "emergency", "Forbidden", '"status":403'),
    "clinician": (),
    "data-engineer": ("2026-06-01", "haemoglobin", ".ndjson.gz", "Drift, night"),
    "ml-engineer": ("decision", "<record>", "selected"),
}


@pytest.fixture(scope="module")
def place(night_done: NightDone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository's root to a user: ``examples/clinic`` and a state of its own."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "examples").mkdir()
    (folder / "examples" / "clinic").symlink_to(night_done.settings.drops)
    shutil.copytree(night_done.settings.home, folder / "state", symlinks=True)
    return folder


@pytest.fixture(scope="module")
def environment(place: Path, night_done: NightDone) -> Iterator[dict[str, str]]:
    """The user's environment, with the endpoint up as ``make up`` leaves it."""
    from pipelines.packaging import serving

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        "PMLM_HOME": str(place / "state"),
        "PMLM_DROPS": str(night_done.settings.drops),
        "PMLM_KEY_DIR": str(place / "keys"),
        "PMLM_PORT": str(port),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "COLUMNS": "200",
    }
    settings = Settings(home=place / "state", drops=night_done.settings.drops, key_dir=place / "keys", port=port)
    serving.start_endpoint(settings)
    try:
        yield os.environ | own
    finally:
        serving.stop_recorded_endpoint(settings)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda p: p.stem)
def test_the_tutorials_commands_run(page: Path, place: Path, environment: dict[str, str]) -> None:
    blocks = RUN.findall(page.read_text())
    assert page.stem in PRINTED, "say here what the new tutorial prints"
    assert bool(blocks) == bool(PRINTED[page.stem])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=place, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for expected in PRINTED[page.stem]:
        assert expected in done.stdout, f"{expected!r} was not printed:\n{done.stdout[-4000:]}"
