"""Write docs/results.md from the tables of the method that were measured and kept: python docs/results.py

Each ``benchmarks/results/method_CLINIC.jsonl`` is the ``metrics/method.jsonl`` that ``pmlm evaluate`` wrote for that
clinic; ``method_CLINIC.md`` beside it says how the clinic was made and where it was measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
TITLES = {
    1: "is the reward valid", 2: "what comes next for her", 3: "change found in time", 4: "women like her",
    5: "what each source adds", 6: "refined against the others", 7: "is RL worth it", 8: "is the choice her own",
    9: "never seen", 10: "ratings alone", 11: "safety", 12: "preferences", 13: "cost and training",
}  # fmt: skip
HEAD = """# What was measured

Written by `docs/results.py` from what `pmlm evaluate` left; do not edit. Every value has a 95 % interval in brackets,
patients resampled, where one can be had. `log p` differences are nats a token of the reply's patient-specific
sentences; *holds* says whether the target is met. What the rows ask, and against what, is told in
[the method](method.md#where-the-numbers-are). The clinics are synthetic: this proves machinery, not benefit.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("method_*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        parts.append(f"\n## {path.stem.removeprefix('method_')}\n\n{path.with_suffix('.md').read_text().strip()}\n")
        parts.append(table([r for r in rows if r["target"] is not None], "Rows with a target"))
        parts.append(table([r for r in rows if r["target"] is None], "The rest"))
    return "\n".join(parts)


def table(rows: list[dict[str, Any]], title: str) -> str:
    """Rows as Markdown."""
    lines = [
        f"### {title}",
        "",
        "| row | name | split | value | target | holds | n, patients, seeds |",
        "|" + " --- |" * 7,
    ]
    for r in rows:
        interval = "" if r["ci_low"] is None else f" [{number(r['ci_low'])}, {number(r['ci_high'])}]"
        holds = {True: "yes", False: "**no**", None: ""}[r["holds"]]
        sizes = f"{r['n']}, {r['patients']}, {r['seeds']}"
        lines.append(
            f"| {r['row']} {TITLES[r['row']]} | `{r['name']}` | {r['split']} | {number(r['value'])}{interval} | "
            f"{number(r['target'])} | {holds} | {sizes} |"
        )
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """Four digits at most."""
    return "" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    (HERE / "results.md").write_text(page(), encoding="utf-8")
