"""Encode a column of feature values as the online stores keep them, faster than Feast.

Feast builds one object per value by way of pandas, and looks up each value's type. Here a column's declared type is
looked up once. ``tests/unit/pipelines/features/online/test_writes.py`` compares the bytes with Feast's for every type,
with whatever may be missing in a column.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from feast import Field
from feast.types import Array, FeastType, Float32, Float64, Int64, String, UnixTimestamp

from feature_repo.store.feast_internals import NO_TIME

_POLARS: dict[FeastType, pl.DataType | type[pl.DataType]] = {
    Float64: pl.Float64,
    Float32: pl.Float32,
    Int64: pl.Int64,
    String: pl.String,
    UnixTimestamp: pl.Datetime,
}
#: What stands for an unknown element of a list.
_MISSING: dict[FeastType, float | int | str] = {
    Float64: float("nan"),
    Float32: float("nan"),
    String: "",
    UnixTimestamp: NO_TIME,
}


def to_storable(rows: pl.DataFrame, fields: Iterable[Field]) -> pl.DataFrame:
    """Convert columns to what can be encoded: numbers, texts, whole seconds, lists, null.

    A value of another type than its field declares raises polars' error.
    """
    return rows.select(_to_storable_column(field.name, field.dtype) for field in fields)


def _to_storable_column(name: str, dtype: FeastType) -> pl.Expr:
    if isinstance(dtype, Array):
        single = dtype.base_type
        element = pl.element().cast(_POLARS[single])
        element = element.dt.epoch("s") if single == UnixTimestamp else element
        return pl.col(name).list.eval(element.fill_null(_MISSING[single]))
    column = pl.col(name).cast(_POLARS[dtype])
    if dtype == UnixTimestamp:
        return column.dt.epoch("s").fill_null(NO_TIME)
    return column.fill_nan(None) if dtype in (Float64, Float32) else column


def encode_texts(column: pl.Series, dtype: FeastType) -> list[str | None]:
    """Encode the text that SQL stores add to the bytes of a storable value."""
    if isinstance(dtype, Array) or dtype == UnixTimestamp:
        return [None] * len(column)
    return [None if value is None else str(value) for value in column.to_list()]
