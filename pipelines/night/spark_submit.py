"""What ``spark-submit`` runs: take in one night's drop with the features computed in the session that it opened.

    spark-submit --master yarn pipelines/night/spark_submit.py 20260602

Airflow does so where ``PMLM_SPARK_CONNECTION`` names its connection, and says by ``PMLM_SUBMIT_DROPS`` and
``PMLM_SUBMIT_RUN`` which clinic and which run it is. The environment of the driver and of the executors has ``pmlm``
with its extra ``spark``, and the workspace lies where all of them see it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipelines.night import night
from pmlm.settings import load_settings


def main(day: str) -> None:
    """Take in ``day`` (``YYYYMMDD``) and every drop before it that waits."""
    from pyspark.sql import SparkSession

    SparkSession.builder.appName("pmlm").getOrCreate()  # where it runs is for spark-submit to say, not for a setting
    drops = os.environ.get("PMLM_SUBMIT_DROPS")
    settings = load_settings(drops=Path(drops) if drops else None, engine="spark")
    night.run_intake(settings, day, os.environ.get("PMLM_SUBMIT_RUN"))


if __name__ == "__main__":
    main(sys.argv[1])
