"""Write docs/results.md and its plots from the committed measurements of the method: python docs/results.py

Each ``benchmarks/results/method_CLINIC.jsonl`` is the ``metrics/method.jsonl`` that ``pmlm evaluate`` wrote for that
clinic; ``method_CLINIC.md`` next to it says how the clinic was made and where it was measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import draw_results

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
TITLES = {
    1: "validity of the reward", 2: "prediction", 3: "change detection", 4: "peers", 5: "contribution of each source",
    6: "refined against baselines", 7: "benefit of RL", 8: "personal choice", 9: "generalization",
    10: "ratings alone", 11: "safety", 12: "preferences", 13: "cost and training", 14: "drafts",
    15: "what a prompt must keep",
}  # fmt: skip
HEAD = """# What was measured

Written by `docs/results.py` from the output of `pmlm evaluate`; do not edit. Values have a 95 % bootstrap interval over
patients in brackets, where there is one. `log p` differences are nats per token of the reply's patient-specific
sentences; *holds* says whether the target is met. The questions and baselines of the rows are in
[the method](method.md#where-the-numbers-are). The clinics are synthetic: this proves machinery, not benefit.
"""


PLOTS = """![Refined prompts against each baseline, and F1 of the facts that each keeps](plots/{name}_baselines.svg)

![Reward of each method over the tokens of its free sentences](plots/{name}_tokens.svg)
"""
#: Clinics with plots: generated, with enough patients for intervals that say something.
PLOTTED = ("1000_women", "300_women")


def read_clinics() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each clinic's name and rows."""
    for path in sorted(RESULTS.glob("method_*.jsonl")):
        yield path.stem.removeprefix("method_"), [json.loads(line) for line in path.read_text().splitlines()]


def draw_plots(folder: Path) -> None:
    """Draw every plot of the page, and the training curves of the method's page."""
    for name, rows in read_clinics():
        if name in PLOTTED:
            draw_results.draw_clinic(name, rows, folder)
    draw_results.draw_training(folder)


def render_page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for name, rows in read_clinics():
        parts.append(f"\n## {name}\n\n{(RESULTS / f'method_{name}.md').read_text().strip()}\n")
        if name in PLOTTED:
            parts.append(PLOTS.format(name=name))
        parts.append(render_table([r for r in rows if r["target"] is not None], "Rows with a target"))
        parts.append(render_table([r for r in rows if r["target"] is None], "The rest"))
    return "\n".join(parts)


def render_table(rows: list[dict[str, Any]], title: str) -> str:
    """Rows as a Markdown table."""
    lines = [
        f"### {title}",
        "",
        "| row | name | split | value | target | holds | n, patients, seeds |",
        "|" + " --- |" * 7,
    ]
    for r in rows:
        interval = "" if r["ci_low"] is None else f" [{format_number(r['ci_low'])}, {format_number(r['ci_high'])}]"
        holds = {True: "yes", False: "**no**", None: ""}[r["holds"]]
        sizes = f"{r['n']}, {r['patients']}, {r['seeds']}"
        lines.append(
            f"| {r['row']} {TITLES[r['row']]} | `{r['name']}` | {r['split']} | {format_number(r['value'])}{interval} | "
            f"{format_number(r['target'])} | {holds} | {sizes} |"
        )
    return "\n".join(lines) + "\n"


def format_number(value: float | None) -> str:
    """At most four digits."""
    return "" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    (HERE / "results.md").write_text(render_page(), encoding="utf-8")
    draw_plots(draw_results.FOLDER)
