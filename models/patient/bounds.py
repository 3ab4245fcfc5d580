"""Read values that were measured only as a bound ("above 600"), or are preliminary.

FHIR R4 gives a Quantity a ``comparator``: the real value is less than, at most, at least or more than the number. A
bound says where a value lies only where no value within it lies elsewhere. A preliminary value is one that the
laboratory has not verified yet: its event and feature say so beside the comparator (``> preliminary``).
"""

from __future__ import annotations

from models.feature_row import read_text
from models.schema import FeatureRow
from models.templates import render_sentence

#: FHIR R4 QuantityComparator, and R5's ``ad``; each names its words in the templates (``bound.…``).
BOUNDS = {"<": "below", "<=": "at_most", ">=": "at_least", ">": "above", "ad": "enough"}
PRELIMINARY = "preliminary"


def read_comparator(row: FeatureRow, signal: str) -> str | None:
    """The comparator of a signal's latest value; None for one without."""
    found = (read_text(row, f"{signal}_comparator") or "").partition(" ")[0]
    return found if found in BOUNDS else None


def is_preliminary(row: FeatureRow, signal: str) -> bool:
    """Whether a signal's latest value may still change."""
    return (read_text(row, f"{signal}_comparator") or "").rpartition(" ")[2] == PRELIMINARY


def format_preliminary(row: FeatureRow, signal: str, language: str) -> str:
    """The words after a preliminary value; empty for a final one."""
    return render_sentence("preliminary", language) if is_preliminary(row, signal) else ""


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
