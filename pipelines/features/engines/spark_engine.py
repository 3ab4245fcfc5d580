"""Run the same feature expressions on Spark: ``PMLM_ENGINE=spark``, extra ``spark``, Java 17.

``PMLM_SPARK_MASTER`` says where it runs; a session that ``spark-submit`` opened is used as it is. The executors read
the event log and write the feature files (``spark_files``), so on a cluster all of them must see the workspace.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from feature_repo.point_in_time import KEY
from models.patient.currency import CurrencyRule
from pipelines.features.engines import feature_files, peer_rows, spark_files
from pipelines.features.engines.feature_files import NightFile
from pipelines.features.engines.query import Query
from pmlm.errors import SettingsError
from pmlm.settings import Settings
from pmlm.storage import SPILL_PREFIX

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Settings without which the expressions mean something else.
MEANING = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "false"}
#: Spark's name for what DuckDB and ``feature_repo.point_in_time`` call ``epoch_us``.
EPOCH_US = "CREATE OR REPLACE TEMPORARY FUNCTION epoch_us(t TIMESTAMP) RETURNS BIGINT RETURN unix_micros(t)"

PARTITION_WORK = None  # one partition: executors spill what does not fit
#: Patients whose events one call of the trajectory model has in memory.
PATIENTS_PER_GROUP = 5_000
#: Settings for a small clinic on one machine.
LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.memory": "4g",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows that the executors will compute, and the types that they are written in."""

    frame: DataFrame
    schema: pa.Schema


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


def evaluate(connection: Any, query: Query) -> Frame:
    """What will compute a group's rows from the connection's record versions at its as-of times."""
    stated = query.expression.schema().to_pyarrow()
    schema = pa.schema([field.with_type(_to_utc(field.type)) for field in stated])
    return Frame(connection._session.sql(to_sql(query.expression)), schema)


def _to_utc(kind: pa.DataType) -> pa.DataType:
    """Return the type that DuckDB gives: Ibis drops a truncated time's zone."""
    if pa.types.is_list(kind):
        return pa.list_(_to_utc(kind.value_type))
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind


def map_patients(
    connection: Any, tables: Sequence[Table], compute: Callable[..., pa.Table], schema: pa.Schema
) -> Frame:
    """What will compute rows from one or two tables, some thousand patients at a time on the executors."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    frames = [connection._session.sql(to_sql(table)) for table in tables]
    counted = frames[-1].agg(F.approx_count_distinct(KEY[0])).first()
    parts = 1 + (counted[0] if counted else 0) // PATIENTS_PER_GROUP
    grouped = [frame.groupBy(F.pmod(F.hash(KEY[0]), F.lit(parts))) for frame in frames]
    together = grouped[0] if len(grouped) == 1 else grouped[0].cogroup(grouped[1])
    return Frame(together.applyInArrow(compute, from_arrow_schema(schema)), schema)


def find_peers(connection: Any, features: Path, moments: Table, k: int, rule: CurrencyRule) -> Frame:
    """What will search peers at each of the moments, over the cluster."""
    from pipelines.features.engines import spark_peers

    asked = connection._session.table(moments.get_name())
    return Frame(spark_peers.find_rows(connection._session, features, asked, k, rule), peer_rows.SCHEMA)


@contextmanager
def open_file(settings: Settings, file: NightFile) -> Iterator[Callable[[Frame], int]]:
    """Open a night's files, of which each executor writes some; they appear together or never."""
    written: list[Path] = []
    with tempfile.TemporaryDirectory(dir=settings.workspace, prefix=SPILL_PREFIX) as staging:

        def write(rows: Frame) -> int:
            parts, count = spark_files.write_parts(rows.frame, rows.schema, file, Path(staging))
            written.extend(parts)
            return count

        yield write
        feature_files.commit_parts(file, written)
