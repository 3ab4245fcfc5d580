"""Show the operations figures in a terminal: a table for each subject, with commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from pmlm.console.progress import format_night
from pmlm.console.screen import VERDICTS
from pmlm.operations_types import Operations

NONE = "–"
BAR = 12
SHOWN = 14  # nights and days, so that the screen is a glance
DRIFT = {"drift": "[red]drift[/]", "stable": "[green]stable[/]"}


def list_tables(found: Operations) -> Iterator[Table]:
    """The tables, what needs attention first; a group of fewer than k is "few"."""
    alerts = [[a.at[:10], a.kind, escape(a.text), a.command] for a in found.alerts]
    yield _make_table(f"{found.clinic}: open alerts", ["raised", "kind", "what", "for more"], alerts)
    yield _make_nights_table(found)
    yield _make_gate_table(found)
    champions = [[c.at[:16], c.action, c.by, c.version, c.refiner, c.command] for c in found.champions[-SHOWN:]]
    yield _make_table("Champions", ["when", "what", "by", "version", "refiner", "for more"], champions)
    yield _make_drift_table(found)
    groups = [[g.group, format_night(g.night), f"{g.age_days} days", g.command] for g in found.features]
    yield _make_table("Feature groups", ["group", "newest rows", "before the last night", "for more"], groups)
    rates = [[r.feature, f"{r.share:.0%}", r.command] for r in found.null_rates]
    yield _make_table("Features without a value", ["feature", "share of rows", "for more"], rates)
    yield _make_traffic_table(found)
    yield _make_feedback_table(found)
    tokens = [[format_night(t.night), f"{t.refined:.1f}", t.command] for t in found.tokens[-SHOWN:]]
    yield _make_table("Tokens of a refined prompt", ["night", "tokens", "for more"], tokens)


def _make_nights_table(found: Operations) -> Table:
    most = max((night.seconds for night in found.nights), default=0.0) or 1.0
    rows = []
    for night in found.nights[-SHOWN:]:
        bar = "█" * max(1, round(BAR * night.seconds / most))
        slowest = max(night.stages, key=lambda stage: stage.seconds)
        counts = [f"{night.read:,}", f"{night.quarantined:,}", f"{night.seconds:,.0f} s"]
        state = "[yellow]not finished[/]" if night.state == "not finished" else night.state
        longest = f"{slowest.stage} {slowest.seconds:.0f} s"
        rows.append([format_night(night.night), *counts, f"[blue]{bar}[/]", longest, state, night.command])
    headings = ["night", "resources", "quarantined", "took", "", "longest stage", "state", "for more"]
    return _make_table("Nights", headings, rows)


def _make_gate_table(found: Operations) -> Table:
    rows = []
    for one in found.gate[-SHOWN:]:
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]" if one.low is not None and one.high is not None else NONE
        figures = [NONE if one.difference is None else f"{one.difference:+.3f}", escape(interval)]
        verdict = VERDICTS.get(one.decision, one.decision)
        rows.append([format_night(one.night), verdict, *figures, one.challenger or NONE, one.command])
    headings = ["night", "verdict", "difference, nats", "interval", "challenger", "for more"]
    return _make_table("Challengers", headings, rows)


def _make_drift_table(found: Operations) -> Table:
    families = sorted({family for line in found.drift for family in line.verdicts})
    rows = []
    for line in found.drift[-SHOWN:]:
        verdicts = [line.verdicts.get(family, NONE) for family in families]
        rows.append([format_night(line.night), *(DRIFT.get(v, v) for v in verdicts), line.command])
    return _make_table("Drift", ["night", *families, "for more"], rows)


def _make_traffic_table(found: Operations) -> Table:
    rows = []
    for day in found.traffic[-SHOWN:]:
        seconds = [NONE if value is None else f"{value:.2f} s" for value in (day.seconds_p50, day.seconds_p95)]
        names = ("red_flags", "withheld", "errors", "not_personalised")
        shares = [NONE if name not in day.shares else f"{day.shares[name]:.1%}" for name in names]
        rows.append([format_night(day.day), _count(day.questions), *seconds, *shares, _count(day.words), day.command])
    headings = ["day", "questions", "p50", "p95", "red flags", "withheld", "errors", "not personalised", "words"]
    return _make_table("Answers", [*headings, "for more"], rows)


def _make_feedback_table(found: Operations) -> Table:
    kinds = sorted({kind for line in found.feedback for kind in line.counts})
    rows = []
    for line in found.feedback[-SHOWN:]:
        counts = [_count(line.counts.get(kind, 0)) for kind in kinds]
        rows.append([format_night(line.night), *counts, line.command])
    return _make_table("Feedback", ["night", *(kind.replace("_", " ") for kind in kinds), "for more"], rows)


def _make_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title if rows else f"{title}: none", title_justify="left", header_style="bold")
    for heading in headings if rows else ():
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    return table


def _count(value: int | None) -> str:
    return "few" if value is None else f"{value:,}"
