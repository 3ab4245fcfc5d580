"""The evaluation of a release as Markdown, with its forest plot as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

PLOT = "evaluation.svg"
#: Rows of the forest plot: the refined prompt's whole reward against each rival, on the locked test split.
RIVALS = ("champion", "initial", "ranking", "minilm", "random", "none", "warm_start")


def render_evaluation(evaluated: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Render Markdown; without an evaluation it says why there is none."""
    lines = ["# Evaluation", "", f"Verdict: **{verdict['decision'].upper()}**: {verdict['why']}.", ""]
    if not evaluated["rows"]:
        return "\n".join([*lines, f"Nothing was measured: {evaluated.get('why', 'no episodes')}.", ""])
    looks = f"Look {verdict['look']} at the gate split of this champion; {evaluated.get('test_looks', 0)} nights have "
    lines += [
        f"{looks}looked at the test split.",
        "",
        f"![Whole reward of the refined prompt against each rival]({PLOT})",
        "",
        "| row | split | value | 95 % interval | n | patients |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in evaluated["rows"]:
        interval = "–" if row["ci_low"] is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
        value = "–" if row["value"] is None else f"{row['value']:.3f}"
        lines.append(f"| {row['name']} | {row['split']} | {value} | {interval} | {row['n']} | {row['patients']} |")
    return "\n".join([*lines, "", *_render_slices(verdict), *_render_safety(verdict), ""])


def _render_slices(verdict: Mapping[str, Any]) -> Sequence[str]:
    head = ("## Slices", "", "Whole reward, challenger minus champion, on the gate split (nats).", "")
    table = ["| slice | difference | n | patients | significantly worse |", "| --- | --- | --- | --- | --- |"]
    words = {True: "yes", False: "no", None: "too few patients"}
    for one in verdict.get("slices", ()):
        cells = (one["slice"], f"{one['difference']:+.3f}", one["n"], one["patients"], words[one["worse"]])
        table.append(f"| {' | '.join(map(str, cells))} |")
    seeds = ", ".join(f"{seed:+.3f}" for seed in verdict.get("seeds", ()))
    return [*head, *table, "", f"Challenger and repetitions with other seeds: {seeds or '–'} nats.", ""]


def _render_safety(verdict: Mapping[str, Any]) -> Sequence[str]:
    table = ["## Safety", "", "| figure | challenger | champion |", "| --- | --- | --- |"]
    for name, figure in verdict.get("safety", {}).items():
        table.append(f"| {name.replace('_', ' ')} | {figure['challenger']} | {figure['champion']} |")
    return table


def draw_forest(evaluated: Mapping[str, Any]) -> bytes:
    """Draw the forest plot as SVG; the same figures give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = {row["name"]: row for row in evaluated["rows"] if row["split"] == "test" and row["ci_low"] is not None}
    found = [(rival, rows[name]) for rival in RIVALS if (name := f"reward_refined_vs_{rival}") in rows]
    with matplotlib.rc_context({"svg.hashsalt": "pmlm", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 0.5 * len(found) + 1.2), layout="constrained")
        axes = figure.add_subplot()
        for place, (_, row) in enumerate(reversed(found)):
            axes.plot([row["ci_low"], row["ci_high"]], [place, place], color="#345", linewidth=2)
            axes.plot(row["value"], place, "o", color="#345")
        axes.axvline(0, color="#999", linewidth=1)
        axes.set_yticks(list(range(len(found))), [rival.replace("_", " ") for rival, _ in reversed(found)])
        axes.set_xlabel("whole reward, refined minus rival (nats), 95 % interval by patients")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": "PMLM"})
    return drawn.getvalue()
