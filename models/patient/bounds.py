"""Read values that were measured only as a bound ("above 600").

FHIR R4 gives a Quantity a ``comparator``: the real value is less than, at most, at least or more than the number. A
bound says where a value lies only where no value within it lies elsewhere.
"""

from __future__ import annotations

from models.feature_row import read_text
from models.schema import FeatureRow
from models.templates import render_sentence

#: FHIR R4 QuantityComparator, and R5's ``ad``; each names its words in the templates (``bound.…``).
BOUNDS = {"<": "below", "<=": "at_most", ">=": "at_least", ">": "above", "ad": "enough"}


def read_comparator(row: FeatureRow, signal: str) -> str | None:
    """The comparator of a signal's latest value; None for an exact one."""
    found = read_text(row, f"{signal}_comparator")
    return found if found in BOUNDS else None


def is_surely_below(value: float, comparator: str | None, limit: float) -> bool:
    """Whether every value that the bound allows is below ``limit``."""
    if comparator == "<":
        return value <= limit
    return comparator in (None, "<=") and value < limit


def is_surely_at_least(value: float, comparator: str | None, limit: float) -> bool:
    """Whether every value that the bound allows is ``limit`` or more."""
    return comparator in (None, ">=", ">") and value >= limit


def format_bound(comparator: str | None, value: str, language: str) -> str:
    """Format a value with the words of its comparator ("above 600")."""
    return render_sentence(f"bound.{BOUNDS[comparator]}", language, value=value) if comparator else value
