"""Write what was measured into docs/drift.md: ``python -m benchmarks.drift.page``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pmlm.settings import PROJECT
from pmlm.storage import write_bytes

RESULTS = Path(__file__).parents[1] / "results" / "drift.json"
PAGE = PROJECT / "docs" / "drift.md"
BEGIN, END = "<!-- tables of python -m benchmarks.drift -->\n", "<!-- end of the tables -->\n"


def render_tables(measured: dict[str, Any]) -> str:
    """Both tables and where they were measured."""
    clinics = measured["clinics"].values()
    return f"""
### Nights where nothing changed

{_render_quiet(clinics)}
### Planted shifts

{_render_planted(clinics)}
### Where it was measured

{_render_runs(clinics)}
"""


def _render_quiet(clinics: Any) -> str:
    families = ("records", "features", "prompts", "rewards")
    head = ["clinic", "nights", *families, "any family", "95 % interval"]
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for one in clinics:
        quiet = one["quiet"]
        low, high = (f"{100 * edge:.1f}" for edge in quiet["interval"])
        found = [f"{quiet['alarms'][name]} of {quiet['judged'][name]}" for name in families]
        cells = [one["clinic"]["name"], quiet["nights"], *found, quiet["nights_with_alarm"], f"{low} to {high} %"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _render_planted(clinics: Any) -> str:
    head = ["clinic", "shift", "strength", "first night", "within two", "median night", "by"]
    lines = [f"| {' | '.join(head)} |", "| --- | --- |" + " ---: |" * (len(head) - 3) + " --- |"]
    for one in clinics:
        for row in one["planted"]:
            shares = [f"{row[key]} of {row['tries']}" for key in ("first_night", "within_two")]
            strength = f"{100 * row['strength']:g} %"
            median = row["median_night"] or "not found"
            by = ", ".join(f"{test} {n}×" for test, n in row["by"].items())
            cells = [one["clinic"]["name"], row["plant"], strength, *shares, median, by]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _render_runs(clinics: Any) -> str:
    return "".join(f"- `{one['command']}`: {one['seconds']} s, {one['machine']}\n" for one in clinics)


def place_tables(page: str, tables: str) -> str:
    """The page with the tables between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}{tables}{END}{rest.split(END)[1]}"


def write_page() -> None:
    """Write the tables into the page."""
    tables = render_tables(json.loads(RESULTS.read_text()))
    write_bytes(PAGE, place_tables(PAGE.read_text(), tables).encode())


if __name__ == "__main__":
    write_page()
