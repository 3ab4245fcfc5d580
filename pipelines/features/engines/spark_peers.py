"""Search peers on Spark in stripes of births, without joining all pairs of patients.

    states                    by patient  →  what a search needs of them: times, embedding, outcomes (``States``)
    states ⋈ moments          by patient  →  each asked moment with the patient's cohort and embedding then
    births and outcomes       by cohort   →  each question's age band, and its cohort's means
    states ⋈ questions        by stripe   →  candidates, in each stripe that the band meets
    candidates                by patient  →  the nearest of them, averaged

Every step groups by one key and calls the functions of ``models.peers`` on Arrow tables, so the rows are those of a
night without Spark. A worker's memory must fit one stripe of a cohort, and the births and outcomes of one cohort.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_repo.point_in_time import KEY
from models.patient.currency import CurrencyRule
from pipelines.features.engines import peer_rows, spark_peer_steps
from pipelines.features.engines.spark_peer_steps import ASKED, BANDS, CANDIDATES, COHORT, STATES, STRIPE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Patients per group of the steps by patient: enough to be worth a worker's start, few enough for its memory.
PATIENTS_PER_GROUP = 50_000
QUESTION = ["subject_id", "at"]


def find_rows(session: SparkSession, features: Path, moments: DataFrame, k: int, rule: CurrencyRule) -> DataFrame:
    """What will compute peer rows at each of the moments (``KEY``) from the feature files below ``features``."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    bounds = moments.agg(F.min(KEY[1]), F.count("*"), F.approx_count_distinct(KEY[0])).first()
    if bounds is None or not bounds[1]:
        return session.createDataFrame([], from_arrow_schema(peer_rows.SCHEMA))
    asked = moments.select("subject_id", F.unix_seconds(KEY[1]).alias("at")).cache()
    every = sorted(row[0] for row in asked.select("at").distinct().collect())
    by_patient = F.pmod(F.hash("subject_id"), F.lit(1 + bounds[2] // PATIENTS_PER_GROUP))

    # Spark reads what a function takes from its annotations, which a partial has not
    def build(rows: pa.Table) -> pa.Table:
        return spark_peer_steps.build_states(rule, rows)

    def place(states: pa.Table, asked: pa.Table) -> pa.Table:
        return spark_peer_steps.place_questions(states, asked)

    def copy(states: pa.Table) -> pa.Table:
        return spark_peer_steps.copy_to_cohorts(every, states)

    def spread(states: pa.Table) -> pa.Table:
        return spark_peer_steps.copy_to_stripes(every, states)

    def band(states: pa.Table, asked: pa.Table) -> pa.Table:
        return spark_peer_steps.find_bands(k, states, asked)

    def search(states: pa.Table, asked: pa.Table) -> pa.Table:
        return spark_peer_steps.search_stripe(k, states, asked)

    def merge(placed: pa.Table, candidates: pa.Table) -> pa.Table:
        return spark_peer_steps.merge(k, placed, candidates)

    raw = _read_states(session, features, bounds[0])
    states = raw.groupBy(by_patient).applyInArrow(build, from_arrow_schema(STATES)).cache()
    placed = states.groupBy(by_patient).cogroup(asked.groupBy(by_patient))
    placed = placed.applyInArrow(place, from_arrow_schema(ASKED)).cache()
    narrow = states.drop("embedding")
    cohorts = narrow.groupBy(by_patient).applyInArrow(copy, narrow.withColumn(COHORT, F.lit(0)).schema)
    bands = cohorts.groupBy(COHORT).cogroup(placed.drop("embedding").groupBy(COHORT))
    bands = bands.applyInArrow(band, from_arrow_schema(BANDS)).cache()
    spread_to = states.withColumn(COHORT, F.lit(0)).withColumn(STRIPE, F.lit(0)).schema
    donors = states.groupBy(by_patient).applyInArrow(spread, spread_to).cache()

    def ask(questions: DataFrame) -> DataFrame:
        visits = questions.withColumn(STRIPE, F.explode(F.sequence("first_stripe", "last_stripe")))
        together = donors.groupBy(COHORT, STRIPE).cogroup(visits.groupBy(COHORT, STRIPE))
        return together.applyInArrow(search, from_arrow_schema(CANDIDATES))

    questions = placed.join(bands.filter(F.col("first_stripe").isNotNull()), QUESTION)
    candidates = ask(questions)
    if not bands.filter("indexed").isEmpty():  # where indexes give too few, the question is asked without them
        candidates = candidates.cache()
        enough = candidates.groupBy(QUESTION).count().filter(F.col("count") >= 2 * k)
        few = questions.filter("indexed").join(enough, QUESTION, "left_anti")
        again = ask(few.withColumn("indexed", F.lit(False)))
        candidates = candidates.join(few.select(QUESTION), QUESTION, "left_anti").unionByName(again)
    answered = placed.join(bands, QUESTION, "left")
    rows = answered.groupBy(by_patient).cogroup(candidates.groupBy(by_patient))
    return rows.applyInArrow(merge, from_arrow_schema(peer_rows.SCHEMA))


def _read_states(session: SparkSession, features: Path, start: Any) -> DataFrame:
    """Read every patient's states from the one valid at ``start`` on."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    newest = Window.partitionBy(*KEY).orderBy(F.col("created_timestamp").desc())
    tables = []
    for name, wanted in peer_rows.list_state_columns().items():
        files = [path.resolve().as_uri() for path in sorted((features / name).glob("*.parquet"))]
        rows = session.read.parquet(*files).withColumn("last", F.row_number().over(newest)).filter("last = 1")
        tables.append(rows.select(*KEY, *wanted))
    table = reduce(lambda left, right: left.join(right, list(KEY), "left"), tables)
    time, of_patient = F.col(KEY[1]), Window.partitionBy(KEY[0])
    table = table.withColumn("valid", F.max(F.when(time <= F.lit(start), time)).over(of_patient))
    return table.filter((time >= F.lit(start)) | (time == F.col("valid"))).drop("valid")
