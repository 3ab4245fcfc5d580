"""Ingest a night's drop inside a Spark session; the application of ``spark-submit``.

    spark-submit --master yarn pipelines/night/spark_submit.py 20260602

Airflow submits it where ``PMLM_SPARK_CONNECTION`` names its connection, with clinic and run in ``PMLM_SUBMIT_DROPS``
and ``PMLM_SUBMIT_RUN``. Driver and executors need ``pmlm`` with the extra ``spark``, and access to the workspace.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipelines.night import night
from pmlm.settings import load_settings


def main(day: str) -> None:
    """Ingest the drop of ``day`` (``YYYYMMDD``) and every pending one before it."""
    from pyspark.sql import SparkSession

    SparkSession.builder.appName("pmlm").getOrCreate()  # spark-submit chooses the master, not a setting
    drops = os.environ.get("PMLM_SUBMIT_DROPS")
    settings = load_settings(drops=Path(drops) if drops else None, engine="spark")
    night.run_intake(settings, day, os.environ.get("PMLM_SUBMIT_RUN"))


if __name__ == "__main__":
    main(sys.argv[1])
