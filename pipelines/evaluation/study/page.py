"""Render the study as ``reports/method/index.html``, with plots, without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.training.gains import EpisodeGains
from pmlm.settings import Settings
from pmlm.storage import atomic_write, read_json, write_json

TEMPLATE = Path(__file__).with_name("page.html.j2")
TITLES = {
    1: "Is the reward valid?", 2: "Does a patient's own record predict what comes next?",
    3: "Is a change found in time?", 4: "Do similar patients predict what comes next?", 5: "What does each source add?",
    6: "Does the refined prompt make the clinician's reply likelier?", 7: "Is reinforcement learning worth it?",
    8: "Is the choice specific to the patient?", 9: "What was never seen in training",
    10: "What can be learned from ratings alone? (a simulated user)", 11: "Safety",
    12: "Is a patient's preferred style learned? (simulated ratings)", 13: "What it cost, and how training went",
}  # fmt: skip
CURVES = (("reward", "mean reward (nats)"), ("dead", "share of zero-variance groups"),
          ("picks", "length: picks per program"), ("entropy", "entropy (nats)"))  # fmt: skip


def page_folder(settings: Settings) -> Path:
    return settings.reports / "method"


def save_gains(settings: Settings, measured: Sequence[EpisodeGains], rollouts: Sequence[Rollout]) -> None:
    """Save the values that the plot of gains draws: no text, no identifier."""
    behind: list[float] = []
    other: list[float] = []
    for one in measured:
        for segment, gain in zip(one.segments, one.gains, strict=True):
            if not np.isnan(gain):
                (behind if segment.key in one.episode.facts else other).append(round(float(gain), 4))
    write_json(page_folder(settings) / "gains.json", {"behind": behind, "other": other, "held_out": len(rollouts)})


def write_page(settings: Settings, rows: Sequence[MetricRow]) -> Path:
    """Write the page from the rows and the values that parts saved for plots."""
    plots = (
        _plot_ablation(rows),
        _plot_differences(rows),
        _plot_slices(rows),
        _plot_calibration(settings),
        _plot_gains(settings),
    )
    figures = [f for f in (*plots, *_plot_curves(settings)) if f]
    text = (
        jinja2.Environment(autoescape=True)
        .from_string(TEMPLATE.read_text("utf-8"))
        .render(
            titles=TITLES,
            rows=[row.json() for row in rows],
            plots=[f.to_html(full_html=False, include_plotlyjs=False) for f in figures],
            plotly=get_plotlyjs() if figures else "",
        )
    )
    target = page_folder(settings) / "index.html"
    with atomic_write(target) as temporary:
        temporary.write_text(text, "utf-8")
    return target


def _plot_differences(rows: Sequence[MetricRow]) -> go.Figure | None:
    """Plot every difference that has a target, with its interval: rows 5 to 9."""
    shown = [r for r in rows if r.row in (5, 6, 7, 8, 9) and r.target is not None and r.ci_low is not None]
    shown = [r for r in shown if "_vs_" in r.name or r.name == "selection_swap"]
    shown = [r for r in shown if not r.name.startswith(("ablation_", "slice_"))]
    return _plot_intervals(shown, "Differences with 95 % intervals, patients resampled (nats per token, or points)")


def _plot_ablation(rows: Sequence[MetricRow]) -> go.Figure | None:
    """Plot what each source adds at equal caps."""
    shown = [r for r in rows if r.row == 5 and r.ci_low is not None]
    return _plot_intervals(shown, "Ablation: what each source adds to log p (nats per token)")


def _plot_slices(rows: Sequence[MetricRow]) -> go.Figure | None:
    """Plot refined against the ranking in whole reward, by slice."""
    shown = [r for r in rows if r.name.startswith("slice_") and r.ci_low is not None]
    return _plot_intervals(shown, "Gain over the ranking in whole reward, by slice (nats per token)")


def _plot_intervals(shown: Sequence[MetricRow], title: str) -> go.Figure | None:
    if not shown:
        return None
    ahead = [(r.ci_high or 0) - (r.value or 0) for r in shown]
    behind = [(r.value or 0) - (r.ci_low or 0) for r in shown]
    bars = go.Scatter(
        x=[r.value for r in shown], y=[f"{r.row} · {r.name} ({r.split})" for r in shown], mode="markers",
        error_x={"type": "data", "array": ahead, "arrayminus": behind},
    )  # fmt: skip
    figure = _set_title(go.Figure(bars), title, "")
    # one line per row, or plotly skips names and intervals overlap
    return figure.update_layout(height=max(420, 110 + 22 * len(shown))).update_yaxes(dtick=1)


def _plot_calibration(settings: Settings) -> go.Figure | None:
    path = page_folder(settings) / "calibration.json"
    if not path.exists():
        return None
    points: list[dict[str, Any]] = json.loads(path.read_text())  # "said": the probability forecast, "came": what came
    figure = go.Figure(go.Scatter(x=[p["said"] for p in points], y=[p["came"] for p in points], name="forecast"))
    figure.add_scatter(x=[0, 1], y=[0, 1], name="perfect", line={"dash": "dot"})
    return _set_title(figure, "Next visit: share that came (y) against probability forecast (x)", "")


def _plot_gains(settings: Settings) -> go.Figure | None:
    path = page_folder(settings) / "gains.json"
    if not path.exists():
        return None
    gains = read_json(path)
    figure = go.Figure()
    for name in ("behind", "other"):
        figure.add_histogram(x=gains[name], name=f"{name} the reply", histnorm="probability", nbinsx=60)
    return _set_title(figure, "Gain of a single segment (nats), by whether it is behind the reply", "")


def _plot_curves(settings: Settings) -> list[go.Figure]:
    """Plot the last training's curves by step: reward, zero-variance groups, entropy, picks."""
    path = settings.metrics / "train.json"
    curves = read_json(path).get("grpo") if path.exists() else None
    if not curves:
        return []
    figure = make_subplots(rows=2, cols=2, subplot_titles=[title for _, title in CURVES])
    for i, (name, _) in enumerate(CURVES):
        figure.add_scatter(y=curves.get(name) or [], name=name, row=1 + i // 2, col=1 + i % 2, showlegend=False)
    return [_set_title(figure, "Training, by GRPO step", "")]


def _set_title(figure: go.Figure, title: str, x: str) -> go.Figure:
    return figure.update_layout(title=title, xaxis_title=x, height=420, margin={"l": 20, "r": 20, "t": 50, "b": 40})
