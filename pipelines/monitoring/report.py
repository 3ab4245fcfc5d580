"""Render the drift page: verdicts on top, Evidently's column plots below, no network.

Counts by bin and category only: Evidently's plot of single values against the row number is removed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import pandas as pd

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("ITERATIVE_DO_NOT_TRACK", "1")

from evidently import DataDefinition, Dataset, Report
from evidently.core.report import Snapshot
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.metrics import ValueDrift

from pipelines.monitoring.column_tests import ColumnComparison, ColumnPair
from pipelines.monitoring.verdicts import FamilyVerdict

BINS = 10
_HEAD = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
).get_template("report.html.j2")


def run_evidently(verdicts: Sequence[FamilyVerdict], compared: Mapping[str, Sequence[ColumnPair]]) -> Snapshot | None:
    """Run Evidently over every compared column; what it calls drift is what the verdict calls drift."""
    current: dict[str, pd.Series] = {}
    reference: dict[str, pd.Series] = {}
    metrics = []
    for verdict in verdicts:
        for pair, result in zip(compared[verdict.family], verdict.compared, strict=True):
            name = f"{verdict.family}: {pair.column}"
            current[name], reference[name] = pair.current, pair.reference
            method = _register_result(name, result)
            metrics.append(ValueDrift(column=name, method=method, threshold=result.threshold, nbinsx=BINS))
    if not metrics:
        return None
    numbers = [name for name, values in current.items() if pd.api.types.is_numeric_dtype(values)]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in current if name not in numbers]
    )
    datasets = (Dataset.from_pandas(pd.DataFrame(side), data_definition=definition) for side in (current, reference))
    return _drop_single_value_plots(Report(metrics).run(*datasets))


def _register_result(name: str, result: ColumnComparison) -> str:
    """Register a column's result as a test of Evidently, so that its page and the verdict are one computation."""
    test = StatTest(
        name=f"result of {name}",
        display_name=f"{result.method} p-value, distance {result.distance:.3f}",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
    )
    register_stattest(test, default_impl=lambda *_: (result.score, result.drifted))
    return test.name


def _drop_single_value_plots(run: Snapshot) -> Snapshot:
    """Remove all tabs of each metric but the one of distributions."""
    for result in run.metric_results.values():
        for widget in result.get_widgets():
            widget.tabs = [tab for tab in widget.tabs if tab.title == "DATA DISTRIBUTION"]
    return run


def render_page(night: str, nights: Sequence[str], verdicts: Sequence[FamilyVerdict], run: Snapshot | None) -> bytes:
    """Render the page; it holds the verdicts alone where nothing was compared."""
    head = _HEAD.render(night=night, nights=nights, verdicts=verdicts)
    body = run.get_html_str(as_iframe=False) if run else "<!DOCTYPE html><html lang='en'><body></body></html>"
    return body.replace("<body>", f"<body>\n{head}", 1).encode()
