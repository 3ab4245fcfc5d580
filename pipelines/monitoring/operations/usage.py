"""List what the endpoint did by day, and the feedback that nights took in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from pipelines.monitoring.operations.summaries import NightRead
from pipelines.monitoring.traffic import SHARES, traffic_folder
from pmlm.operations_types import FeedbackLine, TrafficLine
from pmlm.settings import Settings
from pmlm.storage import read_lines

MOST_DAYS = 30


def list_traffic(settings: Settings, k: int) -> Iterator[TrafficLine]:
    """Each of the last days in which anyone asked, from the monitor's hours."""
    for path in sorted(traffic_folder(settings).glob("*.jsonl"))[-MOST_DAYS:]:
        if hours := list(read_lines(path, json.loads)):
            yield _sum_day(path.stem, hours, k)


def _sum_day(day: str, hours: Sequence[dict[str, Any]], k: int) -> TrafficLine:
    command = f"pmlm traffic --date {day[:4]}-{day[4:6]}-{day[6:]}"
    if hours[-1].get("patients_so_far", 0) < k:
        return TrafficLine(day=day, command=command)
    questions = sum(hour["questions"] for hour in hours)
    shares = {name: sum(hour[f"share_{name}"] * hour["questions"] for hour in hours) / questions for name in SHARES}
    return TrafficLine(
        day=day,
        questions=questions,
        seconds_p50=round(median(hour["seconds_p50"] for hour in hours), 3),
        seconds_p95=round(max(hour["seconds_p95"] for hour in hours), 3),
        shares={name: round(share, 4) for name, share in shares.items()},
        words=sum(hour.get("words", 0) for hour in hours),
        command=command,
    )


def list_feedback(nights: Sequence[NightRead], k: int) -> Iterator[FeedbackLine]:
    """Each night that took feedback in, by kind; a kind given fewer than k times is None."""
    for one in nights:
        counts: dict[str, int] = one.find_figures("records").get("feedback") or {}
        if any(counts.values()):
            shown = {kind: n if n == 0 or n >= k else None for kind, n in counts.items()}
            yield FeedbackLine(night=one.night, counts=shown, command=f"pmlm status --night {one.night} --json")
