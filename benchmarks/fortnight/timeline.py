"""Draw the fortnight: what was planted in which night, and what the system did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fortnight.findings import NightRecord, find_drift, list_false_alarms
from benchmarks.fortnight.plan import NIGHTS, FortnightPlan, day_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAMILIES = ("records", "features", "prompts", "rewards")
PLANTED, GOOD, BAD, QUIET, PALE = "#7a5195", "#2a7f62", "#c8503c", "#9aa3ad", "#e3e6ea"
DECISIONS = {"promote": GOOD, "reject": BAD, "hold": QUIET, "waiting": "#d9a441"}


def draw_timeline(
    target: Path, plan: FortnightPlan, records: Sequence[NightRecord], line: dict[str, Any], requests: dict[int, int]
) -> Path:
    """Draw into ``target`` as PNG and beside it as SVG; ``requests`` are those sent during each night."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        4, 1, figsize=(14, 9), sharex=True, height_ratios=(3.2, 2.4, 2.4, 1.2), layout="constrained"
    )
    _draw_plants(axes[0], plan, records)
    _draw_drift(axes[1], plan, records)
    _draw_decisions(axes[2], records)
    _draw_requests(axes[3], requests, records)
    axes[-1].set_xlim(0.5, NIGHTS + 0.5)
    axes[-1].set_xticks(range(1, NIGHTS + 1), [f"{n}\n{day_of(n):%d %b}" for n in range(1, NIGHTS + 1)])
    figure.suptitle(_describe(line), fontsize=11, x=0.01, ha="left")
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in (target, target.with_suffix(".svg")):
        figure.savefig(path, dpi=110)
    plt.close(figure)
    return target


def _describe(line: dict[str, Any]) -> str:
    return (
        f"Fortnight, seed {line['seed']}: {line['drift_found']} of {line['drift_planted']} drifts found, "
        f"{line['false_alarms']} false alarms; {line['requests']} requests, {line['failed_requests']} failed; "
        f"{line['lost']} events lost, {line['doubled']} doubled; {line['erased_found']} files name the erased patient"
    )


def _draw_plants(axis: Axes, plan: FortnightPlan, records: Sequence[NightRecord]) -> None:
    rows: list[tuple[str, int, int, bool]] = []
    for plant in plan.drifts:
        found = find_drift(plant, records)
        outcome = f"found in night {found.night}" if found else "not found"
        rows.append((f"drift: {plant.kind.replace('_', ' ')} ({outcome})", plant.first, plant.last, found is not None))
    by_night = {one.night: one for one in records}
    rows.append((f"better recipe ({by_night[plan.better].decision})", plan.better, plan.better, True))
    bad = by_night[plan.bad]
    label = f"bad challenger: {plan.bad_kind.replace('_', ' ')} ({bad.decision})"
    rows.append((label, plan.bad, plan.bad, bad.decision != "promote"))
    poisoned = by_night[plan.poisoned]
    rows.append((f"20 % of ratings flipped ({poisoned.decision})", plan.poisoned, plan.poisoned, True))
    for kill in plan.kills:
        stage = by_night[kill.night].killed_in
        rows.append((f"kill -9 ({stage or 'had ended'}), run again", kill.night, kill.night, bool(stage)))
    first_late, last_late = plan.late.of
    label = f"late and corrected records of nights {first_late} and {last_late}"
    rows.append((label, plan.late.night, plan.late.night, True))
    rows.append(("a patient is erased after the night", plan.erasure, plan.erasure, True))
    for place, (label, first, last, went_well) in enumerate(reversed(rows)):
        axis.barh(place, last - first + 0.8, left=first - 0.4, height=0.62, color=PLANTED if went_well else BAD)
        _label_bar(axis, place, first, last, label)
    axis.set_yticks([])
    axis.set_ylabel("planted")
    _clear(axis)


def _label_bar(axis: Axes, place: int, first: int, last: int, label: str) -> None:
    """Beside the bar, where there is room; within a bar that leaves none."""
    if last - first > NIGHTS / 2:
        axis.text(first - 0.3, place, label, va="center", ha="left", fontsize=8, color="white")
    elif last < NIGHTS / 2 + 1:
        axis.text(last + 0.5, place, label, va="center", ha="left", fontsize=8)
    else:
        axis.text(first - 0.5, place, label, va="center", ha="right", fontsize=8)


def _draw_drift(axis: Axes, plan: FortnightPlan, records: Sequence[NightRecord]) -> None:
    false = set(list_false_alarms(plan, records))
    colours = {"drift": PLANTED, "stable": "#b9d8c8", "no verdict": PALE}
    for record in records:
        for place, family in enumerate(reversed(FAMILIES)):
            verdict = record.drift.get(family, "no verdict")
            colour = BAD if (record.night, family) in false else colours[verdict]
            axis.barh(place, 0.9, left=record.night - 0.45, height=0.8, color=colour)
            columns = record.drifted.get(family, [])
            if columns:
                words = "\n".join(_shorten(column) for column in columns[:2])
                axis.text(record.night, place, words, ha="center", va="center", fontsize=5.5, color="white")
    axis.set_yticks(range(len(FAMILIES)), reversed(FAMILIES))
    axis.set_ylabel("drift verdict")
    axis.set_title(
        "drift with the first columns (purple), unexplained drift (red), stable (green), no verdict (grey)",
        loc="left", fontsize=8,
    )  # fmt: skip
    _clear(axis)


def _shorten(column: str, most: int = 16) -> str:
    return column if len(column) <= most else column[: most - 1] + "…"


def _draw_decisions(axis: Axes, records: Sequence[NightRecord]) -> None:
    """Each challenger's reward less the champion's on the locked test split, coloured by the gate's verdict."""
    axis.axhline(0, color=QUIET, linewidth=0.8)
    for record in records:
        if record.trained:
            value = record.better_by or 0.0
            colour = DECISIONS.get(record.decision, QUIET)
            axis.bar(record.night, value, width=0.5, color=colour)
            axis.annotate(
                record.decision, (record.night, value), ha="center", va="bottom" if value >= 0 else "top", fontsize=8,
                color=colour, xytext=(0, 2 if value >= 0 else -2), textcoords="offset points",
            )  # fmt: skip
        else:
            axis.text(record.night, 0, "no\ntraining", ha="center", va="bottom", fontsize=6, color=QUIET)
    axis.margins(y=0.25)
    axis.set_ylabel("challenger − champion,\nlocked test (nats)")
    _clear(axis)


def _draw_requests(axis: Axes, requests: dict[int, int], records: Sequence[NightRecord]) -> None:
    axis.bar(list(requests), list(requests.values()), width=0.8, color="#7fa7c9")
    for record in records:
        axis.text(record.night, 0, record.champion.removeprefix("refiner-")[:7], ha="center", va="bottom", fontsize=6)
    axis.set_ylabel("requests\n(champion)")
    _clear(axis)


def _clear(axis: Axes) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
