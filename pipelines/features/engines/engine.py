"""What an engine must offer to build features, and which one ``PMLM_ENGINE`` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from ibis.expr.types import Table

from models.patient.currency import CurrencyRule
from pipelines.features.engines import duckdb_engine
from pipelines.features.engines.feature_files import NightFile
from pipelines.features.engines.query import Query
from pmlm.settings import Settings

#: A group's rows, as an engine has them: DuckDB a table in memory, Spark what its executors will compute.
Rows = Any


class Engine(Protocol):
    """The functions of an engine's module; ``connection`` is what its own ``open_connection`` yields."""

    @property
    def PARTITION_WORK(self) -> int | None:
        """Work (``partitions.split_patients``) of one partition of a full build; None for one partition."""

    def open_connection(self, settings: Settings) -> AbstractContextManager[Any]: ...

    def read_log(self, connection: Any, files: list[Path]) -> Table: ...

    def create_view(self, connection: Any, name: str, expression: Table) -> Table: ...

    def create_table(self, connection: Any, name: str, expression: Table | str) -> Table: ...

    def to_sql(self, expression: Table) -> str: ...

    def open_workers(self, connection: Any, partitions: int) -> AbstractContextManager[Sequence[Any]]: ...

    def evaluate(self, connection: Any, query: Query) -> Rows: ...

    def map_patients(
        self, connection: Any, tables: Sequence[Table], compute: Callable[..., pa.Table], schema: pa.Schema
    ) -> Rows:
        """Compute rows from tables with ``subject_id``, patient by patient or of several at a time."""

    def find_peers(self, connection: Any, features: Path, moments: Table, k: int, rule: CurrencyRule) -> Rows: ...

    def open_file(self, settings: Settings, file: NightFile) -> AbstractContextManager[Callable[[Rows], int]]:
        """Open a group's file of a night, whole or never there; what is yielded writes rows and counts them."""


def load_engine(settings: Settings) -> Engine:
    """Return the engine's module; Spark is imported only where it is named."""
    if settings.engine == "spark":
        from pipelines.features.engines import spark_engine

        return spark_engine
    return duckdb_engine
