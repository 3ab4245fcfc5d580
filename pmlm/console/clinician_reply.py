"""Draw what a clinician wrote to a question, and which prompts carried its facts."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

#: The prompts that are compared, with the heading of their column.
PROMPTS = {"refined": "refined", "initial": "initial", "nearest": "nearest", "none": "pinned"}


def draw_reply(written: dict[str, Any]) -> Table:
    """A sentence a row, with the fact behind it and the prompts that carried it."""
    table = Table(title=f"what the clinician wrote, {written['ago']}", title_justify="left", header_style="bold")
    for heading in ("sentence", "fact behind it"):
        table.add_column(heading, ratio=1)
    for heading in PROMPTS.values():
        table.add_column(heading, justify="center")
    for sentence in written["sentences"]:
        fact, carried = sentence["fact"], sentence["carried"]
        behind = Text(fact["text"]) if fact else Text("no fact, or none that is clear", "dim")
        marks = ["" if fact is None else "✓" if name in carried else "–" for name in PROMPTS]
        table.add_row(Text(sentence["text"]), behind, *marks)
    return table


def count_facts(written: dict[str, Any]) -> str:
    """How many of the reply's facts each prompt carried."""
    counts = written["carried"]
    trained = "no reply to this patient was trained on" if written["held_out"] else "replies to them were trained on"
    return (
        f"facts behind it: {written['facts']}; carried by the refined prompt {counts['refined']}, "
        f"by the initial prompt (every fact) {counts['initial']}, by as many facts nearest to the question "
        f"{counts['nearest']}, by the pinned facts alone {counts['none']}; {trained}"
    )
