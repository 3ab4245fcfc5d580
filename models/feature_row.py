"""Read one typed value of a feature row, whatever store it came from.

A row comes from Feast offline (pandas), Feast online (protobuf) or a test (plain Python). Absence comes as None, NaN,
NaT or a missing name. These readers are the only place where that matters: everything after them sees a float, an
aware datetime or a tuple of strings, or None.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from models.schema import FeatureRow


def _is_absent(value: Any) -> bool:
    # NaN and NaT are the only values that differ from themselves; pandas.NA has no truth value
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def read_number(row: FeatureRow, name: str) -> float | None:
    """The value as a float, or None where unknown."""
    value = row.get(name)
    return None if _is_absent(value) else float(value)  # type: ignore[arg-type]


def read_text(row: FeatureRow, name: str) -> str | None:
    """The value as a non-empty string, or None where unknown."""
    value = row.get(name)
    return None if _is_absent(value) or not str(value).strip() else str(value)


def _with_timezone(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def read_time(row: FeatureRow, name: str) -> datetime | None:
    """The value as an aware datetime (naive ones are UTC), or None where unknown."""
    value = row.get(name)
    return None if _is_absent(value) else _with_timezone(value)  # type: ignore[arg-type]


def _items(row: FeatureRow, name: str) -> Iterable[Any]:
    value = row.get(name)
    return () if value is None or isinstance(value, float) else value


def read_texts(row: FeatureRow, name: str) -> tuple[str, ...]:
    """The array as strings, unknown elements as ""; empty where the array is absent."""
    return tuple("" if _is_absent(v) else str(v) for v in _items(row, name))


def read_times(row: FeatureRow, name: str) -> tuple[datetime | None, ...]:
    """The array as aware datetimes, unknown elements as None; empty where the array is absent."""
    return tuple(None if _is_absent(v) else _with_timezone(v) for v in _items(row, name))


def has_record(row: FeatureRow) -> bool:
    """Whether anything at all is known of the patient."""
    return any(not (isinstance(v, (list, tuple)) and not v) and not _is_empty(v) for v in row.values())


def _is_empty(value: Any) -> bool:
    if hasattr(value, "__len__") and not isinstance(value, str):
        return len(value) == 0
    return _is_absent(value)
