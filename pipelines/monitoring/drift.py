"""The drift stage: this night against the window of the nights before it, four families, one verdict each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.monitoring import report
from pipelines.monitoring.families import features, prompts, records, rewards
from pipelines.monitoring.families.witnesses import Table
from pipelines.monitoring.verdicts import Pair, Verdict, judge
from pipelines.monitoring.window import nights_before, reference, sealed_table
from pipelines.params import load_params
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import content_hash, read_json, write_json

#: Family → its tables, the one whose rows are counted first.
FAMILIES: dict[str, tuple[Table, ...]] = {
    "records": records.TABLES,
    "features": features.TABLES,
    "prompts": prompts.TABLES,
    "rewards": rewards.TABLES,
}


def report_path(settings: Settings, night: str) -> Path:
    """The page of a night's drift; the verdicts lie beside it as ``.json``."""
    return settings.reports / "drift" / f"{night}.html"


def verdicts(settings: Settings, night: str) -> dict[str, dict[str, Any]]:
    """A finished night's verdicts by family, as written; what a scheduler asks before it retrains.

    Raises ``FileNotFoundError`` where the night has not run its drift stage.
    """
    found: dict[str, dict[str, Any]] = read_json(report_path(settings, night).with_suffix(".json"))
    return found


def run(settings: Settings, night: str) -> StageSummary:
    """Judge ``night`` (``YYYYMMDD``); write the page and the verdicts. Rows in: the night's witnesses of all families;
    rows out: columns compared."""
    params = load_params(settings)["drift"]
    window = int(params["window"])
    with stage_run(settings, night, "drift") as summary:
        nights = nights_before(settings, night, window)
        said: list[Verdict] = []
        compared: dict[str, Sequence[Pair]] = {}
        for family, tables in FAMILIES.items():
            sides = [_sides(settings, night, nights, table, window) for table in tables]
            verdict, compared[family] = judge(family, tables[0].unit, sides, len(nights), params)
            said.append(verdict)
            summary.rows_in += sum(current.height for current, _ in sides)
            summary.rows_out += len(verdict.compared)
        page = report_path(settings, night)
        report.write(page, night, nights, said, report.snapshot(said, compared))
        machine = write_json(page.with_suffix(".json"), {v.family: v.as_json() for v in said})
        counts = Counter(v.verdict for v in said)
        summary.detail = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
        summary.figures = {v.family: v.verdict for v in said}
        summary.hashes = {"verdicts": content_hash([machine])}
    return summary


def _sides(
    settings: Settings, night: str, nights: Sequence[str], table: Table, window: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    return sealed_table(settings, night, table, window), reference(settings, nights, table, window)
