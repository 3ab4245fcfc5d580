"""Stage ``drift``: compare a night with a rolling reference window, one verdict per family.

Run: ``pmlm drift``. Writes ``reports/drift/<night>.html`` and, for a scheduler, the verdicts as ``<night>.json``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.monitoring import report
from pipelines.monitoring.families import features, prompts, records, rewards
from pipelines.monitoring.families.drift_table import DriftTable
from pipelines.monitoring.verdicts import ColumnPair, FamilyVerdict, judge_family
from pipelines.monitoring.window import list_nights_before, load_reference, load_sealed_table
from pipelines.params import load_params
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json, write_json

#: Family → its tables; the first is the main one, whose rows decide whether there is a verdict.
FAMILIES: dict[str, tuple[DriftTable, ...]] = {
    "records": records.TABLES,
    "features": features.TABLES,
    "prompts": prompts.TABLES,
    "rewards": rewards.TABLES,
}


def report_path(settings: Settings, night: str) -> Path:
    """The page of a night's drift; its verdicts have the same name with ``.json``."""
    return settings.reports / "drift" / f"{night}.html"


def read_verdicts(settings: Settings, night: str) -> dict[str, dict[str, Any]]:
    """Read a night's verdicts by family; FileNotFoundError where its drift stage has not run."""
    verdicts: dict[str, dict[str, Any]] = read_json(report_path(settings, night).with_suffix(".json"))
    return verdicts


def run(settings: Settings, night: str) -> StageSummary:
    """Judge ``night`` (``YYYYMMDD``) and write the page and the verdicts.

    Rows in: sampling units of the night over all families. Rows out: columns compared.
    """
    params = load_params(settings).drift
    window = params.window
    with stage_run(settings, night, "drift") as summary:
        nights = list_nights_before(settings, night, window)
        verdicts: list[FamilyVerdict] = []
        compared: dict[str, Sequence[ColumnPair]] = {}
        for family, tables in FAMILIES.items():
            sides = [_load_sides(settings, night, nights, table, window) for table in tables]
            verdict, compared[family] = judge_family(family, tables[0].unit, sides, len(nights), params)
            verdicts.append(verdict)
            summary.rows_in += sum(current.height for current, _ in sides)
            summary.rows_out += len(verdict.compared)
        page = report_path(settings, night)
        report.write_page(page, night, nights, verdicts, report.run_evidently(verdicts, compared))
        write_json(
            settings.metrics / "drift.json", {"night": night, "verdicts": {v.family: v.verdict for v in verdicts}}
        )
        verdict_file = write_json(page.with_suffix(".json"), {v.family: v.as_json() for v in verdicts})
        counts = Counter(v.verdict for v in verdicts)
        summary.detail = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
        summary.figures = {v.family: v.verdict for v in verdicts}
        summary.hashes = {"verdicts": hash_files([verdict_file])}
    return summary


def _load_sides(
    settings: Settings, night: str, nights: Sequence[str], table: DriftTable, window: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    return load_sealed_table(settings, night, table, window), load_reference(settings, nights, table, window)
