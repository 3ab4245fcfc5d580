"""Prompts: what the questions made known tonight were answered with: how many segments, of which kinds, how long."""

from __future__ import annotations

from pipelines.monitoring.families.table import Table

TABLES: tuple[Table, ...] = (
    Table("asked", "questions", lambda s, n: [], lambda s, n, d: __import__("polars").DataFrame()),
)
