"""Run ``pmlm`` as a user does: in its own process, with settings in the environment."""

from __future__ import annotations

import os
import subprocess
import sys

from pmlm.settings import Settings


def pmlm(settings: Settings, *arguments: str, timeout_s: float = 600) -> str:
    """Run ``pmlm`` and return its standard output; AssertionError with all output if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pmlm.cli.main", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"pmlm {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment(settings: Settings) -> dict[str, str]:
    """The process environment that gives ``pmlm`` these settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PMLM_", "AIRFLOW"))}
    return inherited | {
        "OMP_NUM_THREADS": "1",
        "PMLM_HOME": str(settings.home),
        "PMLM_WORKERS": "1",
        "PMLM_DROPS": str(settings.drops),
        "PMLM_KEY_DIR": str(settings.home / "keys"),
        "PMLM_PORT": str(settings.port),
        "PMLM_AIRFLOW_PORT": str(settings.airflow_port),
        "PMLM_NIGHT_CRON": settings.night_cron,
    }
