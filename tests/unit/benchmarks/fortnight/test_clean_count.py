"""Lost and doubled events are counted one by one, whatever batch they are in."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fortnight.clean_count import compare_events
from pipelines.records.log.event_log import SCHEMA

numbers = st.lists(st.integers(0, 5), max_size=12)


def events(records: list[int]) -> pl.DataFrame:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    rows = [
        {"subject_id": 1, "record": n, "code": "LOINC//1", "time": at, "known_at": at, "source": "a"} for n in records
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


@given(numbers, numbers)
def test_what_is_missing_is_lost_and_what_is_too_many_is_doubled(real: list[int], clean: list[int]) -> None:
    lost = sum(max(0, clean.count(n) - real.count(n)) for n in range(6))
    doubled = sum(max(0, real.count(n) - clean.count(n)) for n in range(6))
    assert compare_events(events(real), events(clean)) == (lost, doubled)


def test_another_value_is_one_event_lost_and_one_too_many() -> None:
    changed = events([1]).with_columns(numeric_value=pl.lit(2.0, pl.Float32))
    assert compare_events(changed, events([1])) == (1, 1)
    assert compare_events(events([1]).with_columns(known_at=pl.col("known_at").dt.offset_by("1d")), events([1])) == (
        1,
        1,
    )
