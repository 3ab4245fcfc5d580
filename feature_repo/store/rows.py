"""Cast a feature row to plain Python by declared type, whichever store it came from.

Feast's offline store answers in pandas (NaN, NaT, numpy arrays), its online store in protobuf values. ``cast_row``
turns either into float, int, str, aware ``datetime`` in UTC, or a list of those; an unknown value is None, an unknown
list is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import ModuleType
from typing import Any

from feast.types import Array, FeastType, Float32, Float64, Int64, String, UnixTimestamp

from feature_repo.store.services import find_groups, list_features
from models.schema import FeatureRow


def cast_row(values: Mapping[Any, Any]) -> FeatureRow:
    """Cast every feature of the service; features missing from ``values`` are unknown."""
    return {name: read(values.get(name)) for name, read in _list_casts(*find_groups().values())}


@lru_cache(maxsize=4)
def _list_casts(*_groups: ModuleType) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """List each feature with its cast, once for the groups that exist."""
    return tuple((name, _build_cast(field.dtype)) for name, field in list_features().items())


def _build_cast(dtype: FeastType) -> Callable[[Any], Any]:
    # NaN and NaT are the only values that differ from themselves
    cast = _CASTS[dtype.base_type if isinstance(dtype, Array) else dtype]

    def single(value: Any) -> Any:
        return None if value is None or value != value else cast(value)

    def several(value: Any) -> list[Any]:
        if value is None or isinstance(value, float):
            return []
        return [None if one is None or one != one else cast(one) for one in value]

    return several if isinstance(dtype, Array) else single


def _to_utc(value: Any) -> datetime:
    if type(value) is datetime and value.tzinfo is UTC:
        return value
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
    UnixTimestamp: _to_utc,
}
