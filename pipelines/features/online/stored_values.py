"""A column of feature values as the online stores keep them: one message of Feast's for each value, in bytes.

Feast makes these messages too, but one object a value by way of pandas, and asks of each value what it is. Here a
column's declared type is asked once and one message is filled again and again. That the bytes are Feast's own is
tested for every type, with whatever may be missing in a column
(``tests/unit/pipelines/features/online/test_writes.py``).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from feast import Field
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE, VALUE_TYPE_TO_PROTO_VALUE_MAP
from feast.types import Array, FeastType, Float32, Float64, Int64, String, UnixTimestamp

#: How Feast writes an unknown moment; every other unknown value is an empty message.
NO_MOMENT = int(NULL_TIMESTAMP_INT_VALUE)
_POLARS: dict[FeastType, pl.DataType | type[pl.DataType]] = {
    Float64: pl.Float64,
    Float32: pl.Float32,
    Int64: pl.Int64,
    String: pl.String,
    UnixTimestamp: pl.Datetime,
}
#: What stands for an unknown member of a list.
_MISSING: dict[FeastType, float | int | str] = {
    Float64: float("nan"),
    Float32: float("nan"),
    String: "",
    UnixTimestamp: NO_MOMENT,
}


def to_storable(rows: pl.DataFrame, fields: Iterable[Field]) -> pl.DataFrame:
    """The fields' columns with what a message can hold: numbers, texts, whole seconds, lists of those, or null.

    A value of another type than its field declares raises polars' error.
    """
    return rows.select(_to_storable_column(field.name, field.dtype) for field in fields)


def _to_storable_column(name: str, dtype: FeastType) -> pl.Expr:
    if isinstance(dtype, Array):
        single = dtype.base_type
        member = pl.element().cast(_POLARS[single])
        member = member.dt.epoch("s") if single == UnixTimestamp else member
        return pl.col(name).list.eval(member.fill_null(_MISSING[single]))
    column = pl.col(name).cast(_POLARS[dtype])
    if dtype == UnixTimestamp:
        return column.dt.epoch("s").fill_null(NO_MOMENT)
    return column.fill_nan(None) if dtype in (Float64, Float32) else column


def encode_values(column: pl.Series, dtype: FeastType) -> list[bytes]:
    """The stored bytes of each value of a ``to_storable`` column."""
    field, message, out = VALUE_TYPE_TO_PROTO_VALUE_MAP[dtype.to_value_type()], Value(), []
    several = isinstance(dtype, Array)
    for value in column.to_list():
        if value is None:
            out.append(b"")
            continue
        if several:
            message.Clear()
            getattr(message, field).val.extend(value)  # by nothing too: then it is a list, and empty
        else:
            setattr(message, field, value)
        out.append(message.SerializeToString())
    return out


def encode_texts(column: pl.Series, dtype: FeastType) -> list[str | None]:
    """What Feast's SQL stores keep beside the bytes of a ``to_storable`` column of numbers or texts."""
    if isinstance(dtype, Array) or dtype == UnixTimestamp:
        return [None] * len(column)
    return [None if value is None else str(value) for value in column.to_list()]
