"""Run the same feature expressions on Spark: ``PMLM_ENGINE=spark``, extra ``spark``, Java 17.

``PMLM_SPARK_MASTER`` says where it runs; a session that ``spark-submit`` opened is used as it is. The executors read
the event log and the feature files, so on a cluster all of them must see the workspace. A night's rows come back to
the driver, which writes the group's one file: they must fit its memory.
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

from models.patient.currency import CurrencyRule
from pipelines.features.engines.query import Query
from pmlm.errors import SettingsError
from pmlm.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Settings without which the expressions mean something else.
MEANING = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "false"}
#: Spark's name for what DuckDB and ``feature_repo.point_in_time`` call ``epoch_us``.
EPOCH_US = "CREATE OR REPLACE TEMPORARY FUNCTION epoch_us(t TIMESTAMP) RETURNS BIGINT RETURN unix_micros(t)"

PARTITION_WORK = None  # one partition: executors spill what does not fit
#: Settings for a small clinic on one machine.
LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.memory": "4g",
}


@contextmanager
def open_connection(settings: Settings) -> Iterator[Any]:
    """Open an Ibis backend over a Spark session in UTC, stopped only if opened here.

    Raises ``SettingsError`` without pyspark or Java.
    """
    started, ours = open_session(settings.spark_master)
    before = ibis.options.default_backend
    try:
        connection = ibis.pyspark.connect(started)
        ibis.options.default_backend = connection
        yield connection
    finally:
        ibis.options.default_backend = before
        if ours:
            started.stop()


def open_session(master: str, more: Mapping[str, str] = MappingProxyType({})) -> tuple[SparkSession, bool]:
    """Return the open session or a new one, and whether it is new.

    ``more`` is configuration. Raises ``SettingsError`` as ``open_connection`` does.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingsError("PMLM_ENGINE=spark needs the extra spark: uv pip install 'pmlm[spark]'") from error
    active = SparkSession.getActiveSession()
    if master.startswith("local"):
        # else the workers would run whatever `python3` is, not this environment
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("pmlm").master(master)
    for name, value in {**MEANING, **(LOCAL if master.startswith("local") else {}), **more}.items():
        builder = builder.config(name, value)
    try:
        found = active or builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise SettingsError(f"PMLM_SPARK_MASTER={master}: Spark does not start (Java 17 is needed)") from error
    for name, value in MEANING.items():
        found.conf.set(name, value)
    found.sql(EPOCH_US)
    found.sparkContext.setLogLevel("ERROR")
    return found, active is None


def create_view(connection: Any, name: str, expression: Table) -> Table:
    """Create or replace a view, computed where it is read."""
    connection._session.sql(to_sql(expression)).createOrReplaceTempView(name)
    return connection.table(name)


def create_table(connection: Any, name: str, expression: Table | str) -> Table:
    """Compute an expression, or its SQL, into a cached view that replaces an older one."""
    sql = expression if isinstance(expression, str) else to_sql(expression)
    _cache_view(connection, name, connection._session.sql(sql))
    return connection.table(name)


def to_sql(expression: Table) -> str:
    """Compile an expression to Spark's SQL."""
    return str(ibis.to_sql(expression, dialect="pyspark"))


def _cache_view(connection: Any, name: str, frame: Any) -> None:
    catalog = connection._session.catalog
    if catalog.tableExists(name):
        catalog.uncacheTable(name)
    frame.cache().createOrReplaceTempView(name)


def read_log(connection: Any, files: list[Path]) -> Table:
    """Create the view ``log`` of the files' events, with the ``file`` each came from."""
    events = connection._session.read.parquet(*(f.resolve().as_uri() for f in files))
    events.select("*", events["_metadata.file_name"].alias("file")).createOrReplaceTempView("log")
    return connection.table("log")


@contextmanager
def open_workers(connection: Any, partitions: int) -> Iterator[list[Any]]:
    """Return the connection alone: Spark distributes the work itself."""
    yield [connection]


def evaluate(connection: Any, query: Query) -> pa.Table:
    """Compute a group's rows from the connection's record versions at its as-of times."""
    table = connection._session.sql(to_sql(query.expression)).toArrow()
    stated = query.expression.schema().to_pyarrow()
    return table.cast(pa.schema([field.with_type(_to_utc(field.type)) for field in stated]))


def _to_utc(kind: pa.DataType) -> pa.DataType:
    """Return the type that DuckDB gives: Ibis drops a truncated time's zone."""
    if pa.types.is_list(kind):
        return pa.list_(_to_utc(kind.value_type))
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind


def find_peers(connection: Any, features: Path, moments: Table, k: int, rule: CurrencyRule) -> pa.Table:
    """Search peers at each of the moments, cohort by cohort over the cluster."""
    from pipelines.features.engines import spark_peers

    asked = connection._session.table(moments.get_name())
    return spark_peers.compute_rows(connection._session, features, asked, k, rule)
