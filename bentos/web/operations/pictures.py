"""Draw the operations page's figures as SVG: marks, each a link to its line.

No style stands in the picture, since the page's policy allows none: ``static/operations.css`` gives every class its
colour, and what a colour says is also in the mark's title and in the table below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeVar

from pmlm.operations_types import DriftLine, GateLine, NightLine, TrafficLine

T = TypeVar("T")

WIDTH, LEFT, HEIGHT = 720, 64, 180
FAMILY_HEIGHT = 22
FEWEST_COLUMNS = 8  # so that one night is no wall
MARKS = {"drift": "!", "stable": "✓", "no verdict": "·"}


def draw_nights(nights: Sequence[NightLine]) -> str:
    """Each night as a bar of its stages' seconds."""
    most = max((night.seconds for night in nights), default=0.0) or 1.0
    marks = []
    for x, width, night in _place(nights):
        bottom = float(HEIGHT)
        for stage in night.stages:
            height = HEIGHT * stage.seconds / most
            bottom -= height
            title = f"{_date(night.night)} {stage.stage}: {stage.seconds:.1f} s, {stage.status}"
            marks.append(_link(f"night-{night.night}", title, _box(x, bottom, width, height, f"stage {stage.stage}")))
    names = dict.fromkeys(stage.stage for night in nights for stage in night.stages)
    keys = "".join(f'<li class="stage {escape(name)}">{escape(name)}</li>' for name in names)
    scale = [f"{most:,.0f} s", "0 s"]
    frame = _frame("Seconds of each night by stage", HEIGHT, scale, marks, _names(nights))
    return f'{frame}<ul class="legend">{keys}</ul>'


def draw_gate(judged: Sequence[GateLine]) -> str:
    """Each challenger's paired difference to the champion, with its interval."""
    values = [value for one in judged for value in (one.low, one.difference, one.high) if value is not None] or [0.0]
    low, high = min(*values, 0.0), max(*values, 0.0)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return HEIGHT - HEIGHT * (value - low) / span

    marks = [_line(LEFT, WIDTH, place(0), place(0), "axis")]
    for x, width, one in _place(judged):
        if one.difference is None:
            continue
        middle, shape = x + width / 2, ""
        if one.low is not None and one.high is not None:
            shape = _line(middle, middle, place(one.low), place(one.high), "interval")
        shape += _dot(middle, place(one.difference), f"dot {one.decision}")
        marks.append(_link(f"gate-{one.night}", f"{_date(one.night)} {one.decision}: {one.difference:+.3f}", shape))
    title = "Challenger minus champion in nats, with its interval"
    return _frame(title, HEIGHT, [f"{high:+.2f}", f"{low:+.2f}"], marks, _names(judged))


def draw_drift(lines: Sequence[DriftLine]) -> str:
    """A square for each family and night."""
    families = sorted({family for line in lines for family in line.verdicts})
    marks = []
    for row, family in enumerate(families):
        top = row * FAMILY_HEIGHT
        marks.append(f'<text x="0" y="{top + 15}">{escape(family)}</text>')
        for x, width, line in _place(lines):
            verdict = line.verdicts.get(family, "no verdict")
            shape = _box(x, top, width, FAMILY_HEIGHT - 4, f"verdict {verdict.replace(' ', '-')}")
            shape += f'<text class="mark" x="{x + width / 2:.1f}" y="{top + 14}">{MARKS.get(verdict, "?")}</text>'
            marks.append(_link(f"drift-{line.night}", f"{_date(line.night)} {family}: {verdict}", shape))
    return _frame("Drift by family and night", len(families) * FAMILY_HEIGHT, [], marks, _names(lines))


def draw_traffic(days: Sequence[TrafficLine]) -> str:
    """Questions a day as bars, the worst hour's 95th percentile as dots."""
    most = max((day.questions or 0 for day in days), default=0) or 1
    slowest = max((day.seconds_p95 or 0.0 for day in days), default=0.0) or 1.0
    marks = []
    for x, width, day in _place(days):
        if day.questions is None or day.seconds_p95 is None:
            continue
        height, y = HEIGHT * day.questions / most, HEIGHT - HEIGHT * day.seconds_p95 / slowest
        shape = _box(x, HEIGHT - height, width, height, "questions")
        shape += _dot(x + width / 2, y, "dot")
        title = f"{_date(day.day)}: {day.questions} questions, p95 {day.seconds_p95:.2f} s"
        marks.append(_link(f"day-{day.day}", title, shape))
    title = "Questions a day (bars) and the worst hour's 95th percentile of seconds (dots)"
    return _frame(title, HEIGHT, [f"{most} · {slowest:.1f} s", "0"], marks, [_date(day.day) for day in days])


def _place(lines: Sequence[T]) -> Iterator[tuple[float, float, T]]:
    """Left edge and width of each line's column."""
    step = (WIDTH - LEFT) / max(len(lines), FEWEST_COLUMNS)
    for number, line in enumerate(lines):
        yield LEFT + number * step + step * 0.1, step * 0.8, line


def _names(lines: Sequence[NightLine] | Sequence[GateLine] | Sequence[DriftLine]) -> list[str]:
    return [_date(line.night) for line in lines]


def _box(x: float, y: float, width: float, height: float, classes: str) -> str:
    return f'<rect class="{escape(classes)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _dot(x: float, y: float, classes: str) -> str:
    return f'<circle class="{escape(classes)}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'


def _line(x: float, x_to: float, y: float, y_to: float, classes: str) -> str:
    return f'<line class="{classes}" x1="{x:.1f}" x2="{x_to:.1f}" y1="{y:.1f}" y2="{y_to:.1f}"/>'


def _link(target: str, title: str, shape: str) -> str:
    return f'<a href="#{escape(target)}"><title>{escape(title)}</title>{shape}</a>'


def _frame(title: str, height: int, scale: Sequence[str], marks: Sequence[str], dates: Sequence[str]) -> str:
    """The picture, with its scale at the left and the first and last date below."""
    sides = [f'<text x="0" y="{y}">{escape(text)}</text>' for text, y in zip(scale, (12, height), strict=False)]
    if dates:
        sides.append(f'<text x="{LEFT}" y="{height + 18}">{escape(dates[0])}</text>')
    if len(dates) >= FEWEST_COLUMNS:
        sides.append(f'<text class="last" x="{WIDTH}" y="{height + 18}">{escape(dates[-1])}</text>')
    box = f'viewBox="0 -8 {WIDTH} {height + 34}" role="group" aria-label="{escape(title)}"'
    return f'<div class="scroll"><svg class="plot ops" {box}>{"".join([*sides, *marks])}</svg></div>'


def _date(night: str) -> str:
    return f"{night[:4]}-{night[4:6]}-{night[6:]}"
