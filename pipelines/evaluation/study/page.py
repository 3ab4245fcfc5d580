"""Render the study as ``reports/method/index.html``: the headline as a forest plot, then short tables.

The headline is log p and F1 at equal caps; length has a table of its own. Opens without a network.
"""

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
    14: "Are drafts in the clinic's own words right?", 15: "Does a prompt keep what every clinician would ask about?",
}  # fmt: skip
#: The rows of the forest plot and the first table, in this order: log p, then F1 and shares.
HEADLINE = (
    "refined_vs_none", "refined_vs_ranking", "refined_vs_minilm", "refined_vs_random", "refined_vs_length_matched",
    "ranking_vs_minilm", "selection_swap", "refined_share_of_true_facts_gain", "refined_f1", "ranking_f1", "minilm_f1",
    "refined_f1_vs_ranking", "ranking_f1_vs_minilm", "peer_vs_self_planted", "peer_vs_random_women_planted",
    "peer_vs_self_control", "rl_new_topic_reward_vs_warm_start", "rl_new_topic_f1_vs_warm_start",
    "rl_new_topic_reward_vs_equal_reward_control", "external_adapted_vs_minilm", "external_adapted_vs_random",
    "draft_f1_vs_unpersonalised", "draft_f1_vs_nearest_reply", "change_recall_vs_pelt", "peers_better_than_cohort",
    "peers_shrunk_better_than_cohort", "peers_stated_all",
)  # fmt: skip
FACTS = ("topic_episodes_", "recall_of_", "wrong_picks_of_")
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
    order = {name: i for i, name in enumerate(HEADLINE)}
    headline = sorted((r for r in rows if r.name in order), key=lambda r: order[r.name])
    plots = (
        _plot_forest(headline),
        _plot_intervals(
            [r for r in rows if r.row == 5 and r.ci_low is not None],
            "Ablation: what each source adds to log p (nats per token)",
        ),
        _plot_intervals(
            [r for r in rows if r.name.startswith("slice_") and r.ci_low is not None],
            "By slice: log p against the ranking (nats per token), and F1",
        ),
        _plot_intervals(
            [r for r in rows if r.name.startswith(FACTS) and r.ci_low is not None],
            "F1 by training episodes of the topic; recall and wrong picks by kind of fact",
        ),
        _plot_calibration(settings),
        _plot_gains(settings),
    )
    figures = [f for f in (*plots, *_plot_curves(settings)) if f]
    text = (
        jinja2.Environment(autoescape=True)
        .from_string(TEMPLATE.read_text("utf-8"))
        .render(
            titles=TITLES,
            headline=[row.json() for row in headline],
            lengths=[row.json() for row in rows if row.name.endswith(("_tokens", "_token_share"))],
            rows=[row.json() for row in rows],
            plots=[f.to_html(full_html=False, include_plotlyjs=False) for f in figures],
            plotly=get_plotlyjs() if figures else "",
        )
    )
    target = page_folder(settings) / "index.html"
    with atomic_write(target) as temporary:
        temporary.write_text(text, "utf-8")
    return target


def _plot_forest(rows: Sequence[MetricRow]) -> go.Figure | None:
    """Plot the headline: each value with its interval, its target, and whether that is met."""
    figure = _plot_intervals(
        [r for r in rows if r.ci_low is not None], "Headline, at equal caps: log p (nats per token), F1 and shares"
    )
    if figure is None:
        return None
    aims = [r for r in rows if r.ci_low is not None and r.target is not None]
    figure.add_scatter(
        x=[r.target for r in aims], y=[_label(r) for r in aims], mode="markers", name="target",
        marker={"symbol": "line-ns-open", "size": 14, "color": "#5f6368"},
    )  # fmt: skip
    return figure.add_vline(x=0, line={"dash": "dot", "color": "#5f6368"})


def _label(row: MetricRow) -> str:
    return f"{row.row} · {row.name} ({row.split})"


def _plot_intervals(shown: Sequence[MetricRow], title: str) -> go.Figure | None:
    if not shown:
        return None
    ahead = [(r.ci_high or 0) - (r.value or 0) for r in shown]
    behind = [(r.value or 0) - (r.ci_low or 0) for r in shown]
    colours = [{True: "#146c2e", False: "#a4262c"}.get(r.holds, "#1a5fb4") for r in shown]  # type: ignore[arg-type]
    bars = go.Scatter(
        x=[r.value for r in shown], y=[_label(r) for r in shown], mode="markers", marker={"color": colours},
        error_x={"type": "data", "array": ahead, "arrayminus": behind}, name="value, 95 % interval",
    )  # fmt: skip
    figure = _set_title(go.Figure(bars), title, "")
    # one line per row, or plotly skips names and intervals overlap
    height = max(420, 110 + 22 * len(shown))
    return figure.update_layout(height=height).update_yaxes(dtick=1, autorange="reversed")


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
