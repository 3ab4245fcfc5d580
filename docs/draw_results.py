"""Draw what was measured: log p against baselines, F1, reward against tokens, and training curves.

Run by ``docs/results.py``. Each point is a row of ``benchmarks/results/method_CLINIC.jsonl`` with its 95 % interval;
the curves are those of the finished night that ships with the repository (``examples/finished_night.tar.xz``).
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
FOLDER = HERE / "plots"
FINISHED_NIGHT = HERE.parent / "examples" / "finished_night.tar.xz"
#: What a row's name begins with → how the plots call it, from the most to the least that a prompt knows.
METHODS = {
    "facts": "true facts", "refined": "refined", "ranking": "initial ranking, cut", "fixed": "fixed set",
    "recent": "most recent", "minilm": "nearest (MiniLM)", "length_matched": "length-matched", "random": "random",
    "peer": "peers alone", "none": "pinned facts alone", "initial": "initial, whole",
}  # fmt: skip
OWN, OTHER = "#0b5cad", "#47536a"
STYLE: Any = {  # the type that matplotlib asks for lists every name of it
    "svg.hashsalt": "pmlm", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#d5dbe4",
}  # fmt: skip
CURVES = (
    ("reward", "mean reward (nats per token)"),
    ("dead", "share of groups without variance"),
    ("picks", "picks per program"),
    ("entropy", "entropy (nats)"),
)
Row = dict[str, Any]


def draw_clinic(name: str, rows: Sequence[Row], folder: Path = FOLDER) -> list[str]:
    """Draw a clinic's baselines and its reward against tokens; the names of the files."""
    found = {row["name"]: row for row in rows if row["row"] == 6}
    with mpl.rc_context(STYLE):
        return [
            _save(_draw_baselines(found), folder, f"{name}_baselines.svg"),
            _save(_draw_tokens(found), folder, f"{name}_tokens.svg"),
        ]


def draw_training(folder: Path = FOLDER) -> str:
    """Draw the curves of the finished night's reinforcement learning; the name of the file."""
    with mpl.rc_context(STYLE):
        return _save(_draw_curves(_read_curves()), folder, "training.svg")


def _draw_baselines(found: dict[str, Row]) -> Figure:
    """Refined prompts less each baseline in log p, and each method's F1."""
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_intervals(left, [(label, found.get(f"refined_vs_{key}")) for key, label in METHODS.items()], set())
    left.axvline(0, color=OTHER, linewidth=1)
    _set_titles(left, "Refined less baseline: log p of the reply", "nats per token; right of 0: refined is better")
    _draw_intervals(right, [(label, found.get(f"{key}_f1")) for key, label in METHODS.items()], {METHODS["refined"]})
    right.set_xlim(0, 1)
    _set_titles(right, "Facts behind the reply that the prompt has", "F1")
    return figure


def _draw_intervals(axes: Axes, named: Sequence[tuple[str, Row | None]], own: set[str]) -> None:
    """One line a name, the first on top; a name without a row has none."""
    shown = [(label, row) for label, row in reversed(named) if row is not None]
    for place, (label, row) in enumerate(shown):
        colour = OWN if label in own or not own else OTHER
        axes.errorbar(row["value"], place, xerr=[[_below(row)], [_above(row)]], fmt="o", color=colour, capsize=3)
    axes.set_yticks(range(len(shown)), [label for label, _ in shown])


def _draw_tokens(found: dict[str, Row]) -> Figure:
    """Each method's reward over the tokens of its free sentences."""
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=[*mpl.color_sequences["tab10"], "#000000"])
    placed: list[tuple[float, float]] = []
    for key, label in METHODS.items():
        reward, tokens = found.get(f"{key}_reward"), found.get(f"{key}_tokens")
        if reward is None or tokens is None or (tokens["value"], reward["value"]) in placed:
            continue  # without rows, or the same prompts by another name
        placed.append((tokens["value"], reward["value"]))
        axes.errorbar(
            tokens["value"], reward["value"], xerr=[[_below(tokens)], [_above(tokens)]],
            yerr=[[_below(reward)], [_above(reward)]],
            fmt="D" if key == "refined" else "o", elinewidth=0.7, label=label,
        )  # fmt: skip
    axes.set_xscale("symlog", linthresh=60, linscale=3)
    axes.set_xticks([0, 20, 40, 60, 200, 600], ["0", "20", "40", "60", "200", "600"])
    axes.set_xlim(-3, 1200)
    _set_titles(axes, "Reward against length", "tokens of free sentences (linear to 60, then logarithmic)")
    axes.set_ylabel("reward (nats per token)")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _draw_curves(curves: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, CURVES, strict=True):
        axes.plot(range(1, len(curves[name]) + 1), curves[name], color=OWN)
        _set_titles(axes, title, "step")
    return figure


def _read_curves() -> dict[str, Any]:
    """``grpo`` of the finished night's ``metrics/train.json``."""
    with tarfile.open(FINISHED_NIGHT) as packed:
        for member in packed:
            if member.name.endswith("metrics/train.json") and (file := packed.extractfile(member)):
                curves: dict[str, Any] = json.load(file)["grpo"]
                return curves
    raise FileNotFoundError(f"{FINISHED_NIGHT} has no metrics/train.json")


def _below(row: Row) -> float:
    return float(row["value"] - row["ci_low"])


def _above(row: Row) -> float:
    return float(row["ci_high"] - row["value"])


def _set_titles(axes: Axes, title: str, x: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)


def _save(figure: Figure, folder: Path, name: str) -> str:
    """Save without date or maker, so that the same rows give the same bytes."""
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / name, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return name
