"""Kinds of facts, read from a segment's key."""

from __future__ import annotations

KINDS = ("absent", "value", "change", "condition", "medicine", "other")


def read_fact_kind(key: str) -> str:
    """Read the kind of a segment from its key; ``other`` for habits, visits and forecasts."""
    head, _, tail = key.partition(".")
    if head == "no" or tail == "none":
        return "absent"
    if tail in ("change", "latest"):
        return "change" if tail == "change" else "value"
    if head in ("condition", "history"):
        return "condition"
    return "medicine" if head in ("medicine", "medicines") else "other"
