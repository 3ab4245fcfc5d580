"""One shape for a feature row, whichever store it came from.

Feast's offline store answers in pandas (NaN, NaT, numpy arrays), its online store in protobuf values. ``typed`` turns
either into plain Python by the feature's declared type: float, int, str, aware ``datetime`` in UTC, list of those;
None where a single value is unknown, an empty list where there is nothing to list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from feast.types import Array, FeastType, Float32, Float64, Int64, String, UnixTimestamp

from feature_repo.services import features
from models.schema import FeatureRow


def typed(values: Mapping[Any, Any]) -> FeatureRow:
    """Every feature of the service in its declared Python type; features missing from ``values`` are unknown."""
    return {name: _value(values.get(name), field.dtype) for name, field in features().items()}


def _value(value: Any, dtype: FeastType) -> Any:
    if isinstance(dtype, Array):
        return [] if value is None or isinstance(value, float) else [_single(v, dtype.base_type) for v in value]
    return _single(value, dtype)


def _single(value: Any, dtype: FeastType) -> Any:
    # NaN and NaT are the only values that differ from themselves
    return None if value is None or value != value else _CASTS[dtype](value)


def _moment(value: Any) -> datetime:
    if hasattr(value, "to_pydatetime"):  # pandas; a numpy datetime64 counts whole microseconds
        value = value.to_pydatetime()
    elif not isinstance(value, datetime):
        value = datetime.fromtimestamp(value.astype("datetime64[s]").astype(int), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_CASTS: dict[FeastType, Callable[[Any], Any]] = {
    Float64: float,
    Float32: float,
    Int64: int,
    String: str,
    UnixTimestamp: _moment,
}
