"""Airflow reads its configuration when it is first imported, so this comes before any test module."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines.night import airflow_settings
from pmlm.settings import Settings

_HOME = Path(tempfile.mkdtemp(prefix="pmlm-dags-"))
os.environ.update(
    {
        k: v
        for k, v in airflow_settings.make_airflow_environment(Settings(home=_HOME)).items()
        if not k.startswith("PMLM_")
    }
)
