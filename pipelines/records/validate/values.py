"""The value tier: Great Expectations validates the tables of extracted rows.

Great Expectations' own index of unexpected rows identifies each failing row. Results are reduced to counts before
anything else reads them: no value leaves this file.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from pipelines.records.read.raw_resource import ResourceError
from pipelines.records.validate.suites import NUMBERS, TABLES, TIMES, build_suite

_FORMAT = {"result_format": "COMPLETE", "unexpected_index_column_names": ["item"], "include_unexpected_rows": False}
_COUNTS = ("element_count", "unexpected_count", "missing_count")

_IN_MEMORY = DataContextConfig(store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False))
_NOT_A_TIME = int(np.iinfo(np.int64).min)

TableRow = tuple[str, dict[str, Any]]


class ValueValidator:
    """Validates rows chunk by chunk; ``results`` has the counts of all chunks, by table."""

    def __init__(self) -> None:
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        self._context = gx.get_context(mode="ephemeral", project_config=_IN_MEMORY)
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._definitions: dict[str, BatchDefinition] = {}
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.results: dict[str, ExpectationSuiteValidationResult] = {}

    def add_rows(self, item: int, rows: list[TableRow]) -> None:
        """Add the rows of one resource; ``item`` is its position in the chunk."""
        for table, row in rows:
            row["item"] = item
            self._rows[table].append(row)

    def validate_rows(self) -> dict[int, ResourceError]:
        """Validate the chunk's rows; return the first error per failing resource, by position."""
        errors: dict[int, ResourceError] = {}
        for table in TABLES:
            if rows := self._rows.pop(table, None):
                result = self._validate(table, _build_frame(rows))
                for item, error in _list_failures(result):
                    errors.setdefault(item, error)
                self._add_counts(table, result)
        return errors

    def _validate(self, table: str, frame: pd.DataFrame) -> ExpectationSuiteValidationResult:
        if table not in self._definitions:
            asset = self._context.data_sources.add_pandas(table).add_dataframe_asset(table)
            self._definitions[table] = asset.add_batch_definition_whole_dataframe("drop")
        batch = self._definitions[table].get_batch(batch_parameters={"dataframe": frame})
        return batch.validate(build_suite(table), result_format=_FORMAT)

    def _add_counts(self, table: str, result: ExpectationSuiteValidationResult) -> None:
        """Reduce a result to counts and add those of earlier chunks."""
        before = self.results.get(table)
        for position, one in enumerate(result.results):
            counts = {k: one.result.get(k, 0) for k in _COUNTS}
            if before is not None:
                counts = {k: v + before.results[position].result[k] for k, v in counts.items()}
            counts["unexpected_percent"] = 100 * counts["unexpected_count"] / max(1, counts["element_count"])
            one.result = counts
            one.success = counts["unexpected_count"] == 0
        result.success = all(one.success for one in result.results)
        self.results[table] = result


def _build_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame.from_records(rows)
    for name in frame.columns:
        if name in TIMES:
            whole = frame[name].astype("Int64").to_numpy(dtype="int64", na_value=_NOT_A_TIME)
            frame[name] = whole.view("datetime64[us]")
        elif name in NUMBERS:
            frame[name] = frame[name].astype("float64")
    return frame


def _list_failures(result: ExpectationSuiteValidationResult) -> Iterator[tuple[int, ResourceError]]:
    for one in result.results:
        meta = one.expectation_config.meta if one.expectation_config else None
        for row in one.result.get("unexpected_index_list") or ():
            yield int(row["item"]), ResourceError((meta or {})["rule"], (meta or {})["says"])
