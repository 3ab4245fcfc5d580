"""The final screen of a night: stages, counts, reward, a sample question, pages to open."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.night.saved_nights import SavedNight
from pmlm.console.progress import MARKS, format_night

#: Rows of the evaluation to show: refined minus initial prompt, held-out patients, 95 % intervals.
REWARD_ROWS = {
    "reward_refined_vs_initial": "held-out reward, refined − initial prompt",
    "refined_vs_initial": "… log p of the clinician's reply alone",
}

VERDICTS = {
    "promote": "[green]PROMOTED[/]",
    "hold": "[yellow]HOLD[/]",
    "reject": "[red]REJECTED[/]",
    "waiting": "[yellow]WAITING[/]",
}

#: The evaluation's headline as columns of the list of nights.
HEADLINE = (
    ("reward_refined_vs_initial", "reward − initial"),
    ("refined_vs_initial", "log p − initial"),
    ("refined_f1", "F1"),
    ("refined_tokens", "tokens"),
)


def make_stage_table(status: dict[str, Any]) -> Table:
    nights = status["nights"]
    title = f"{status['clinic']}: night {nights[0]}" + (
        f" to {nights[-1]} ({len(nights)} nights)" if nights[1:] else ""
    )
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("stage")
    for heading in ("rows in", "rows out", "quarantined", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for stage in status["stages"]:
        counts = (f"{stage[name]:,}" for name in ("rows_in", "rows_out", "quarantined"))
        mark = MARKS.get(stage["status"], stage["status"])
        table.add_row(stage["stage"], *counts, f"{stage['seconds']:.1f}", f"{mark} {stage['detail']}")
    return table


def format_accounts(accounts: dict[str, Any]) -> str:
    """``read = accepted + ignored + quarantined``, with the quarantine's rules."""
    balanced = accounts["read"] == accounts["accepted"] + accounts["ignored"] + accounts["quarantined"]
    rules = ", ".join(f"{rule} {count:,}" for rule, count in accounts["by_rule"].items())
    return (
        f"[bold]{accounts['read']:,}[/] resources read {'=' if balanced else '[red]≠[/]'} "
        f"{accounts['accepted']:,} accepted + {accounts['ignored']:,} ignored + {accounts['quarantined']:,} quarantined"
        + (f" ({rules})" if rules else "")
    )


def format_rewards(evaluation: dict[str, Any] | None, gate: dict[str, Any] | None) -> list[str]:
    """The refined prompt against the initial one on held-out patients, and the gate's decision."""
    rows = {r["name"]: r for r in (evaluation or {}).get("rows", ()) if r["split"] == "test"}
    lines = [f"{label:<42} {_format_estimate(rows[name])}" for name, label in REWARD_ROWS.items() if name in rows]
    if "refined_tokens" in rows and "initial_tokens" in rows:
        refined, initial = rows["refined_tokens"]["value"], rows["initial_tokens"]["value"]
        lines.append(f"{'tokens of free facts in the prompt':<42} refined {refined:.0f}, initial {initial:.0f}")
    if gate:
        lines.append(f"gate: {VERDICTS[gate['decision']]} {gate['why']}")
    return lines


def _format_estimate(row: dict[str, Any]) -> str:
    """A difference, with its interval where there are enough patients for one."""
    interval = f" [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]" if row["ci_low"] is not None else " (no interval)"
    patients = "patient" if row["patients"] == 1 else "patients"
    return f"{row['value']:+.3f}{interval} nats   n = {row['n']} questions of {row['patients']} {patients}"


def make_nights_table(saved: list[SavedNight]) -> Table:
    """Saved nights, oldest first, with the gate's decision and the evaluation's headline."""
    table = Table(header_style="bold")
    table.add_column("night")
    table.add_column("experiment")
    table.add_column("gate")
    for _, heading in HEADLINE:
        table.add_column(heading, justify="right")
    for one in saved:
        headline = one.metrics.get("evaluation", {}).get("headline", {})
        figures = (f"{headline[name]:.3f}" if headline.get(name) is not None else "" for name, _ in HEADLINE)
        table.add_row(
            format_night(one.night), one.revision[:10], one.metrics.get("gate", {}).get("decision", ""), *figures
        )
    return table


def show_night(console: Console, status: dict[str, Any], example: dict[str, Any] | None) -> None:
    """Print the whole screen; ``example`` is the sample question with its patient and answer, or None."""
    console.print()
    console.print(make_stage_table(status))
    console.print(format_accounts(status["accounts"]), soft_wrap=True)
    for text in format_rewards(status["evaluation"], status["gate"]):
        console.print(text, soft_wrap=True)
    if example:
        from pmlm.console.ask import render_answer

        console.print()
        console.print(render_answer(example["question"], example["answer"]))
    console.print()
    for name, place in status["pages"].items():
        console.print(f"{name:<13} {place}", soft_wrap=True)
    if example:
        console.print(format_next_steps(example["patient"]), soft_wrap=True)


def format_next_steps(patient: str) -> str:
    """Three commands to try after a night, in markup."""
    steps = (
        ("pmlm patients", "who can be asked about"),
        (f'pmlm ask {patient} "Is it normal to feel this tired?"', "the answer, beside the one without the record"),
        ("pmlm up", "the page, the endpoint and Airflow"),
    )
    lines = [f"  [bold]{escape(command)}[/]  [dim]{meaning}[/]" for command, meaning in steps]
    return "\n".join(["", "Try, after `. .venv/bin/activate`:", *lines])
