"""Peers on Spark: patients in blocks by cohort, so that nobody is ever joined with everybody.

    states ⋈ moments, by patient  →  each asked moment with her cohort then
    states, by patient            →  a copy for each cohort she belongs to at one of the moments
    both, by cohort               →  models.peers.search.search within the block

Every step groups by one key and works on Arrow tables with the functions that a night without Spark uses
(``models.peers.search``, ``models.peers.cohort_partitions``), so the rows are the same. What one worker must hold is
one cohort.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from feature_repo.point_in_time import KEY
from models.peers import cohort_partitions, patient_embedding
from pipelines.features.engines import peer_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BLOCK = "block"
#: Patients a group of the first two steps holds: enough to be worth a worker's start, little enough for its memory.
PATIENTS_A_GROUP = 50_000


def rows(session: SparkSession, features: Path, moments: DataFrame, k: int) -> pa.Table:
    """Peer features at each of the moments (``KEY``), from the self features already written below ``features``."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    bounds = moments.agg(F.min(KEY[1]), F.count("*"), F.approx_count_distinct(KEY[0])).first()
    if bounds is None or not bounds[1]:
        return peer_rows.SCHEMA.empty_table()
    at = np.array([row[0] for row in moments.select(F.unix_seconds(KEY[1])).distinct().collect()], dtype=np.int64)
    held = _states(session, features, bounds[0])
    groups = F.pmod(F.hash(KEY[0]), F.lit(1 + bounds[2] // PATIENTS_A_GROUP))
    by_patient, asked = held.groupBy(groups), moments.select(*KEY).groupBy(groups)
    placed = by_patient.cogroup(asked).applyInArrow(placed_moments, f"{KEY[0]} long, {KEY[1]} timestamp, {BLOCK} int")
    copied = held.withColumn(BLOCK, F.lit(0)).schema

    # Spark reads what a function takes from its annotations, which a partial has not
    def place(states: pa.Table) -> pa.Table:
        return placed_states(np.sort(at), states)

    def search(states: pa.Table, asked: pa.Table) -> pa.Table:
        return searched(k, states, asked)

    donors = held.groupBy(groups).applyInArrow(place, copied)
    by_cohort = donors.groupBy(BLOCK).cogroup(placed.groupBy(BLOCK))
    found = by_cohort.applyInArrow(search, from_arrow_schema(peer_rows.SCHEMA))
    return found.toArrow().cast(peer_rows.SCHEMA)


def placed_moments(states: pa.Table, asked: pa.Table) -> pa.Table:
    """Each asked moment with the block that answers it."""
    moments = pl.DataFrame(asked).select(*KEY)
    at = moments[KEY[1]].dt.epoch("s").to_numpy()
    block = cohort_partitions.cohorts_at(_numbers(states), moments[KEY[0]].to_list(), at)
    return _as_spark_takes(moments.with_columns(pl.Series(BLOCK, block, dtype=pl.Int32)), asked.select(KEY).schema)


def placed_states(moments: np.ndarray[Any, np.dtype[np.int64]], states: pa.Table) -> pa.Table:
    """The states of each patient once for every block in which she is met at one of the moments."""
    table = pl.DataFrame(states)
    blocks = [
        table.filter(pl.col(KEY[0]).is_in(who.tolist())).with_columns(pl.lit(block, pl.Int32).alias(BLOCK))
        for block, who in cohort_partitions.members(_numbers(states), moments).items()
    ]
    copies = pl.concat(blocks or [table.head(0).with_columns(pl.lit(0, pl.Int32).alias(BLOCK))])
    return _as_spark_takes(copies, states.schema)


def _as_spark_takes(placed: pl.DataFrame, came: pa.Schema) -> pa.Table:
    """In the types in which Spark sent the rows: it refuses the large strings and lists that Polars makes of them."""
    return placed.to_arrow().cast(came.append(pa.field(BLOCK, pa.int32())))


def searched(k: int, states: pa.Table, asked: pa.Table) -> pa.Table:
    """The answers of one block."""
    moments = pl.DataFrame(asked).select(*KEY).sort(KEY[1], KEY[0])
    return peer_rows.answers(_numbers(states), moments, k)


def _numbers(states: pa.Table) -> patient_embedding.States:
    return peer_rows.as_states(pl.DataFrame(states).lazy())


def _states(session: SparkSession, features: Path, start: Any) -> DataFrame:
    """Every patient's states from the one that held at ``start`` on, as the groups' files state them."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    newest = Window.partitionBy(*KEY).orderBy(F.col("created_timestamp").desc())
    parts = []
    for name, wanted in peer_rows.columns_by_group().items():
        files = [path.resolve().as_uri() for path in sorted((features / name).glob("*.parquet"))]
        rows = session.read.parquet(*files).withColumn("last", F.row_number().over(newest)).filter("last = 1")
        parts.append(rows.select(*KEY, *wanted))
    table = reduce(lambda left, right: left.join(right, list(KEY), "left"), parts)
    time, hers = F.col(KEY[1]), Window.partitionBy(KEY[0])
    table = table.withColumn("held", F.max(F.when(time <= F.lit(start), time)).over(hers))
    return table.filter((time >= F.lit(start)) | (time == F.col("held"))).drop("held").cache()
