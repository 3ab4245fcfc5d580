"""Render the operations page: pictures, and tables whose lines name the command for more.

Every text is escaped. The page is whole: it can be read from a terminal too, with the token in a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bentos.web.operations import pictures
from pmlm.operations_types import Operations

NONE = "–"
OPEN_ROWS = 8  # of a table; a longer one opens on a click, and where a picture's mark leads into it
SHARES = ("red_flags", "withheld", "errors", "not_personalised", "degraded")
LONG = 30  # characters of a cell that may be broken into lines
HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>PMLM operations</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="stylesheet" href="../page/style.css"><link rel="stylesheet" href="../page/operations.css"></head><body>'
)


def render_page(found: Operations) -> str:
    """The figures as one page of HTML."""
    sections = (
        _render_alerts(found),
        _render_nights(found),
        _render_gate(found),
        _render_drift(found),
        _render_features(found),
        _render_traffic(found),
        _render_feedback(found),
        _render_tokens(found),
    )
    written = f"as of {found.written_at}" if found.written_at else "no night has written any figures yet: pmlm night"
    note = f"{found.clinic}, {written}. Groups of fewer than {found.k} are not shown."
    top = f'<p class="hint">{escape(note)}</p>'
    return f'{HEAD}<main id="figures">{top}{"".join(sections)}</main></body></html>\n'


def _render_alerts(found: Operations) -> str:
    rows = [[a.at[:10], a.kind, _date(a.night), a.text, a.command] for a in reversed(found.alerts)]
    return _section("Open alerts", "", _table(["raised", "kind", "night", "what", "for more"], rows, "none is open"))


def _render_nights(found: Operations) -> str:
    rows, names = [], []
    for night in reversed(found.nights):
        stages = ", ".join(f"{s.stage} {s.seconds:.1f} s" + _mark(s.status) for s in night.stages)
        names.append(f"night-{night.night}")
        counts = [f"{night.seconds:,.0f} s", f"{night.read:,}", f"{night.quarantined:,}"]
        rows.append([_date(night.night), night.state, *counts, stages, night.command])
    headings = ["night", "state", "took", "resources", "quarantined", "stages", "for more"]
    return _section("Nights", pictures.draw_nights(found.nights), _table(headings, rows, "no night yet", names))


def _render_gate(found: Operations) -> str:
    rows, names = [], []
    for one in reversed(found.gate):
        names.append(f"gate-{one.night}")
        figures = [_number(one.difference), _interval(one.low, one.high)]
        rows.append([_date(one.night), one.decision, *figures, one.challenger or NONE, one.command])
    headings = ["night", "verdict", "difference, nats", "interval", "challenger", "for more"]
    judged = _table(headings, rows, "none was judged yet", names)
    rows = []
    for change in reversed(found.champions):
        what = [change.at[:16].replace("T", " "), change.action, change.by, change.version, change.refiner]
        rows.append([*what, change.command])
    champions = _table(["when", "what", "by", "version", "refiner", "for more"], rows, "no champion yet")
    return _section("Champion and challengers", pictures.draw_gate(found.gate), judged + champions)


def _render_drift(found: Operations) -> str:
    rows = []
    for line in reversed(found.drift):
        verdicts = ", ".join(
            f"{family}: {verdict}" + (f" ({line.drifted[family]} columns)" if line.drifted.get(family) else "")
            for family, verdict in sorted(line.verdicts.items())
        )
        rows.append([_date(line.night), verdicts, line.command])
    names = [f"drift-{line.night}" for line in reversed(found.drift)]
    table = _table(["night", "verdicts", "for more"], rows, "no night was judged yet", names)
    return _section("Drift by family", pictures.draw_drift(found.drift), table)


def _render_features(found: Operations) -> str:
    groups = [[g.group, _date(g.night), f"{g.age_days} days", g.command] for g in found.features]
    rates = [[r.feature, f"{r.share:.0%}", r.command] for r in found.null_rates]
    tables = _table(["group", "newest rows", "before the last night", "for more"], groups, "no features yet")
    tables += _table(["feature", "without a value", "for more"], rates, "no night has counted missing values yet")
    return _section("Features: freshness and missing values", "", tables)


def _render_traffic(found: Operations) -> str:
    rows = []
    for day in reversed(found.traffic):
        few = day.questions is None
        counts = ["few" if few else f"{day.questions:,}", _seconds(day.seconds_p50), _seconds(day.seconds_p95)]
        shares = [NONE if name not in day.shares else f"{day.shares[name]:.1%}" for name in SHARES]
        rows.append([_date(day.day), *counts, *shares, NONE if few else f"{day.words or 0:,}", day.command])
    headings = ["day", "questions", "p50", "p95", "red flags", "withheld", "errors", "not personalised", "degraded"]
    names = [f"day-{day.day}" for day in reversed(found.traffic)]
    table = _table([*headings, "words", "for more"], rows, "nobody has asked yet", names)
    return _section("Answers, latency and red flags", pictures.draw_traffic(found.traffic), table)


def _render_feedback(found: Operations) -> str:
    kinds = sorted({kind for line in found.feedback for kind in line.counts})
    rows = [
        [_date(f.night), *(_count(f.counts.get(kind, 0)) for kind in kinds), f.command]
        for f in reversed(found.feedback)
    ]
    headings = ["night", *(kind.replace("_", " ") for kind in kinds), "for more"]
    return _section("Feedback", "", _table(headings, rows, "none was taken in yet"))


def _render_tokens(found: Operations) -> str:
    rows = [[_date(t.night), f"{t.refined:,.1f}", t.command] for t in reversed(found.tokens)]
    table = _table(["night", "tokens", "for more"], rows, "none measured yet")
    return _section("Tokens of a refined prompt", "", table)


def _section(title: str, picture: str, table: str) -> str:
    return f'<section class="card"><h2>{escape(title)}</h2>{picture}{table}</section>'


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], nothing: str, names: Sequence[str] = ()) -> str:
    """A table of plain texts, with a command in the last column. ``names`` are what pictures link to."""
    if not rows:
        return f'<p class="hint">{escape(nothing)}</p>'
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    ids = [f' id="{escape(name)}"' for name in names] or [""] * len(rows)
    cells = ["".join(_cell(cell) for cell in row[:-1]) + f"<td><code>{escape(row[-1])}</code></td>" for row in rows]
    body = "".join(f"<tr{id_}>{row}</tr>" for id_, row in zip(ids, cells, strict=True))
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return table if len(rows) <= OPEN_ROWS else f"<details><summary>All {len(rows)}</summary>{table}</details>"


def _cell(text: str) -> str:
    return f'<td class="long">{escape(text)}</td>' if len(text) > LONG else f"<td>{escape(text)}</td>"


def _mark(status: str) -> str:
    return "" if status == "done" else f" ({status})"


def _count(value: int | None) -> str:
    return "few" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:+.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f} s"


def _date(night: str) -> str:
    return f"{night[:4]}-{night[4:6]}-{night[6:]}"
