"""What a night without work costs: ``pmlm night`` finds that out before it loads a model or a store."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "feast", "airflow", "dvc", "bentoml", "evidently", "great_expectations")


def test_whether_there_is_work_is_known_before_anything_heavy_is_loaded() -> None:
    code = f"import sys, pmlm.console.night_run; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
