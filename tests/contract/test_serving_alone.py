"""The ``serve`` extra alone suffices: no scheduler, no trainer, no validator is loaded or even needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipelines.packaging import serving
from pipelines.packaging.bento import make_serving_environment
from pmlm.settings import PROJECT, Settings
from tests.contract.three_women import ADA

ALONE = Path(__file__).with_name("serve_alone.py")
NIGHT_ONLY = {"airflow", "dvc", "great_expectations", "trl", "evidently", "polars", "presidio_analyzer"}


def test_a_question_is_answered_with_the_packages_of_serving_alone(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, str(ALONE), ADA],
        cwd=PROJECT,
        env=make_serving_environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["answer"]
    assert not NIGHT_ONLY & set(printed["modules"])


def test_the_bento_holds_what_serving_needs_and_no_other_room(settings: Settings) -> None:
    version = serving.current_release(settings).resolve().name
    (source,) = (settings.workspace / "bentoml" / "bentos" / "pmlm").glob(f"*-{version}/src")
    # a bento that has served holds what Python compiled, too
    assert {p.name for p in (source / "pmlm").iterdir()} - {"__pycache__"} == {
        "__init__.py",
        "api_types.py",
        "draft_types.py",
        "errors.py",
        "feedback_types.py",
        "language_models.py",
        "operations_types.py",
        "served_releases.py",
        "settings.py",
        "storage.py",
        "worker_count.py",
    }
    assert not (source / "pipelines").exists()
    requirements = (source.parent / "env" / "python" / "requirements.txt").read_text()
    assert "apache-airflow" not in requirements
    assert "bentoml==1.4.39" in requirements
