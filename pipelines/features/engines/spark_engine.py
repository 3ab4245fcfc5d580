"""Spark as the engine of the same feature expressions: ``PMLM_ENGINE=spark``, extra ``spark``, Java 17.

``PMLM_SPARK_MASTER`` says where it runs; a session that ``spark-submit`` opened is used as it is. The event log and
the feature files are read by the executors, so on a cluster the workspace lies where all of them see it. A night's
rows come back to the driver, which writes the group's one file: what a night adds must fit its memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from pipelines.features.engines.duckdb_engine import Query
from pmlm.errors import SettingsError
from pmlm.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: What a session must have for the expressions to mean the same, and what a small clinic on one machine is spared.
MEANING = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "false"}
#: Spark's name for what DuckDB and ``feature_repo.point_in_time`` call ``epoch_us``.
EPOCH_US = "CREATE OR REPLACE TEMPORARY FUNCTION epoch_us(t TIMESTAMP) RETURNS BIGINT RETURN unix_micros(t)"

PART = None  # executors lay on disk what does not fit

LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.memory": "4g",
}


@contextmanager
def opened(settings: Settings) -> Iterator[Any]:
    """An Ibis backend over a Spark session in UTC; it ends with the block unless it was there before.

    ``SettingsError`` where pyspark is not installed or Java does not start.
    """
    started, ours = session(settings.spark_master)
    before = ibis.options.default_backend
    try:
        connection = ibis.pyspark.connect(started)
        ibis.options.default_backend = connection
        yield connection
    finally:
        ibis.options.default_backend = before
        if ours:
            started.stop()


def session(master: str, more: Mapping[str, str] = MappingProxyType({})) -> tuple[SparkSession, bool]:
    """The session that is open, else a new one at ``master``, and whether it is new. ``more`` is configuration.

    ``SettingsError`` as ``opened``.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingsError("PMLM_ENGINE=spark needs the extra spark: uv pip install 'pmlm[spark]'") from error
    held = SparkSession.getActiveSession()
    if master.startswith("local"):
        # without a cluster's own word the workers would be whatever `python3` is: not this environment
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("pmlm").master(master)
    for name, value in {**MEANING, **(LOCAL if master.startswith("local") else {}), **more}.items():
        builder = builder.config(name, value)
    try:
        found = held or builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise SettingsError(f"PMLM_SPARK_MASTER={master}: Spark does not start (Java 17 is needed)") from error
    for name, value in MEANING.items():
        found.conf.set(name, value)
    found.sql(EPOCH_US)
    found.sparkContext.setLogLevel("ERROR")
    return found, held is None


def view(connection: Any, name: str, expression: Table) -> Table:
    """Give ``expression`` a name, replacing an older view; it is computed where it is asked for."""
    connection._session.sql(sql(expression)).createOrReplaceTempView(name)
    return connection.table(name)


def keep(connection: Any, name: str, expression: Table | str) -> Table:
    """Compute an expression (or its ``sql``) once into a view of that name, replacing an older one."""
    said = expression if isinstance(expression, str) else sql(expression)
    _cache(connection, name, connection._session.sql(said))
    return connection.table(name)


def sql(expression: Table) -> str:
    """The expression in Spark's words."""
    return str(ibis.to_sql(expression, dialect="pyspark"))


def _cache(connection: Any, name: str, frame: Any) -> None:
    catalog = connection._session.catalog
    if catalog.tableExists(name):
        catalog.uncacheTable(name)
    frame.cache().createOrReplaceTempView(name)


def read_log(connection: Any, files: list[Path]) -> Table:
    """The events of the files as the view ``log``: what is asked of it is read from Parquet when it is asked."""
    events = connection._session.read.parquet(*(f.resolve().as_uri() for f in files))
    events.select("*", events["_metadata.file_name"].alias("file")).createOrReplaceTempView("log")
    return connection.table("log")


@contextmanager
def lanes(connection: Any, parts: int) -> Iterator[list[Any]]:
    """One: Spark itself spreads the work of a part."""
    yield [connection]


def evaluate(connection: Any, query: Query) -> pa.Table:
    """The rows of a group for the moments that ``connection`` holds."""
    table = connection._session.sql(sql(query.expression)).toArrow()
    stated = query.expression.schema().to_pyarrow()
    return table.cast(pa.schema([field.with_type(_in_utc(field.type)) for field in stated]))


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """The type that DuckDB gives: Ibis forgets a moment's time zone where it cuts it to the second."""
    if pa.types.is_list(kind):
        return pa.list_(_in_utc(kind.value_type))
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind


def peers(connection: Any, features: Path, moments: Table, k: int) -> pa.Table:
    """Peer features at each of the moments, cohort by cohort over the cluster."""
    from pipelines.features.engines import spark_peers

    return spark_peers.rows(connection._session, features, connection._session.table(moments.get_name()), k)
