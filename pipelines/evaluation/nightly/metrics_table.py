"""The evaluation's rows as a table for a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

FILE_WIDTH = 140  # columns, where the table is a file or a pipe


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line a row: name, split, value, interval, n, patients, whether its target holds."""
    table = Table("row", Column("name", no_wrap=True), "split", "value", Column("95 % interval", no_wrap=True))
    for name in ("n", "patients", "target", "holds"):
        table.add_column(name)
    for row in rows:
        interval = "–" if row["ci_low"] is None else f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
        target = "" if row["target"] is None else f"{row['target']:g}"
        holds = {None: "", True: "yes", False: "no"}[row["holds"]]
        value = "–" if row["value"] is None else f"{row['value']:.3f}"
        cells = (row["row"], row["name"], row["split"], value, interval, row["n"], row["patients"], target, holds)
        table.add_row(*map(str, cells))
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)
