"""The screen a night ends with: stages, accounts, reward, one patient's question, and what to open next."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.night.history import SavedNight
from pipelines.night.progress import MARKS, dated
from pipelines.settings import Settings


def stage_table(status: dict[str, Any]) -> Table:
    nights = status["nights"]
    title = f"{status['clinic']}: night {nights[0]}" + (
        f" to {nights[-1]} ({len(nights)} nights)" if nights[1:] else ""
    )
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("stage")
    for heading in ("rows in", "rows out", "quarantined", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for stage in status["stages"]:
        counts = (f"{stage[name]:,}" for name in ("rows_in", "rows_out", "quarantined"))
        mark = MARKS.get(stage["status"], stage["status"])
        table.add_row(stage["stage"], *counts, f"{stage['seconds']:.1f}", f"{mark} {stage['detail']}")
    return table


def accounts_line(accounts: dict[str, Any]) -> str:
    """``read = accepted + ignored + quarantined``, with the rules that held lines back."""
    balanced = accounts["read"] == accounts["accepted"] + accounts["ignored"] + accounts["quarantined"]
    rules = ", ".join(f"{rule} {count:,}" for rule, count in accounts["by_rule"].items())
    return (
        f"[bold]{accounts['read']:,}[/] resources read {'=' if balanced else '[red]≠[/]'} "
        f"{accounts['accepted']:,} accepted + {accounts['ignored']:,} ignored + {accounts['quarantined']:,} quarantined"
        + (f" ({rules})" if rules else "")
    )


def nights_table(saved: list[SavedNight]) -> Table:
    """Saved nights, oldest first, with the figures of each night's gate."""
    table = Table(header_style="bold")
    for heading in ("night", "experiment", "metrics"):
        table.add_column(heading)
    for one in saved:
        figures = ", ".join(
            f"{file}.{name} {value}"
            for file, content in one.metrics.items()
            for name, value in content.items()
            if isinstance(value, int | float | str)
        )
        table.add_row(dated(one.night), one.revision[:10], figures)
    return table


def show(console: Console, settings: Settings, status: dict[str, Any], example: dict[str, Any] | None) -> None:
    """Print the whole screen. ``example`` is one question with its answer (see ``example.ask``), or None."""
    console.print()
    console.print(stage_table(status))
    console.print(accounts_line(status["accounts"]))
    for stage, why in status["hold"].items():
        console.print(f"[yellow]HOLD[/] at {stage}: {why}")
    if example:
        from pipelines.packaging.ask import side_by_side

        console.print()
        console.print(side_by_side(example["question"], example["answer"]))
    console.print()
    for name, place in status["pages"].items():
        console.print(f"{name:<13} {place}", soft_wrap=True)
