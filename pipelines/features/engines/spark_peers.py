"""Search peers on Spark, one cohort per block, without joining all pairs of patients.

    states ⋈ moments, by patient  →  each asked moment with the patient's cohort then
    states, by patient            →  a copy for each cohort the patient belongs to at one of the moments
    both, by cohort               →  models.peers.search.search_peers within the block

Every step groups by one key and calls the functions that a night without Spark calls (``models.peers.search``,
``models.peers.cohort_partitions``) on Arrow tables, so the rows are the same. A worker's memory must fit one cohort.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from feature_repo.point_in_time import KEY
from models.patient.currency import DEFAULT_RULE, CurrencyRule
from models.peers import cohort_partitions, patient_embedding
from pipelines.features.engines import peer_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BLOCK = "block"
#: Patients per group of the first two steps: enough to be worth a worker's start, few enough for its memory.
PATIENTS_PER_GROUP = 50_000


def compute_rows(session: SparkSession, features: Path, moments: DataFrame, k: int, rule: CurrencyRule) -> pa.Table:
    """Compute peer rows at each of the moments (``KEY``) from the feature files below ``features``."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    bounds = moments.agg(F.min(KEY[1]), F.count("*"), F.approx_count_distinct(KEY[0])).first()
    if bounds is None or not bounds[1]:
        return peer_rows.SCHEMA.empty_table()
    at = np.array([row[0] for row in moments.select(F.unix_seconds(KEY[1])).distinct().collect()], dtype=np.int64)
    known = _read_states(session, features, bounds[0])
    groups = F.pmod(F.hash(KEY[0]), F.lit(1 + bounds[2] // PATIENTS_PER_GROUP))
    by_patient, asked = known.groupBy(groups), moments.select(*KEY).groupBy(groups)
    placed = by_patient.cogroup(asked).applyInArrow(assign_moments, f"{KEY[0]} long, {KEY[1]} timestamp, {BLOCK} int")
    copied = known.withColumn(BLOCK, F.lit(0)).schema

    # Spark reads what a function takes from its annotations, which a partial has not
    def place(states: pa.Table) -> pa.Table:
        return copy_states(np.sort(at), states)

    def search(states: pa.Table, asked: pa.Table) -> pa.Table:
        return search_block(k, rule, states, asked)

    donors = known.groupBy(groups).applyInArrow(place, copied)
    by_cohort = donors.groupBy(BLOCK).cogroup(placed.groupBy(BLOCK))
    found = by_cohort.applyInArrow(search, from_arrow_schema(peer_rows.SCHEMA))
    return found.toArrow().cast(peer_rows.SCHEMA)


def assign_moments(states: pa.Table, asked: pa.Table) -> pa.Table:
    """Add to each asked moment the block that answers it."""
    moments = pl.DataFrame(asked).select(*KEY)
    at = moments[KEY[1]].dt.epoch("s").to_numpy()
    block = cohort_partitions.find_cohorts(_to_states(states), moments[KEY[0]].to_list(), at)
    return _to_spark_types(moments.with_columns(pl.Series(BLOCK, block, dtype=pl.Int32)), asked.select(KEY).schema)


def copy_states(moments: np.ndarray[Any, np.dtype[np.int64]], states: pa.Table) -> pa.Table:
    """Copy each patient's states to every block of theirs at the moments."""
    table = pl.DataFrame(states)
    blocks = [
        table.filter(pl.col(KEY[0]).is_in(who.tolist())).with_columns(pl.lit(block, pl.Int32).alias(BLOCK))
        for block, who in cohort_partitions.list_members(_to_states(states), moments).items()
    ]
    copies = pl.concat(blocks or [table.head(0).with_columns(pl.lit(0, pl.Int32).alias(BLOCK))])
    return _to_spark_types(copies, states.schema)


def _to_spark_types(placed: pl.DataFrame, came: pa.Schema) -> pa.Table:
    """Cast to the types that Spark sent: it refuses Polars' large strings and lists."""
    return placed.to_arrow().cast(came.append(pa.field(BLOCK, pa.int32())))


def search_block(k: int, rule: CurrencyRule, states: pa.Table, asked: pa.Table) -> pa.Table:
    """Search the asked moments of one block among its states."""
    moments = pl.DataFrame(asked).select(*KEY).sort(KEY[1], KEY[0])
    return peer_rows.search_states(_to_states(states, rule), moments, k)


def _to_states(states: pa.Table, rule: CurrencyRule = DEFAULT_RULE) -> patient_embedding.States:
    """Build the states; cohorts, which only pregnancies decide, are the same by any rule."""
    return peer_rows.build_states(pl.DataFrame(states).lazy(), rule)


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
    return table.filter((time >= F.lit(start)) | (time == F.col("valid"))).drop("valid").cache()
