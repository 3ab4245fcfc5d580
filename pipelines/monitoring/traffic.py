"""Traffic: what the endpoint did each hour, in counts and shares, from its interaction log.

``monitoring/traffic/<day>.jsonl`` has one line per hour; ``monitoring/traffic.prom`` is the newest of them as a
Prometheus textfile (node_exporter's ``--collector.textfile.directory``). A day is counted again as a whole, so a second
run writes the same bytes. No text, no patient and no question enters: a line of the log has none.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pmlm.settings import Settings
from pmlm.storage import read_lines, write_bytes

#: Shares of an hour's questions: name → whether a line of the log counts.
SHARES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "errors": lambda line: bool(line.get("llm_error")),
    "red_flags": lambda line: bool(line["signs"]),
    "withheld": lambda line: bool(line.get("findings")),
    "not_personalised": lambda line: line["personalization"] == "none",
    "degraded": lambda line: bool(line.get("degraded")),
}

#: How many patients have asked on the day up to an hour's end: it says what may be shown, and is not shown itself.
UNPUBLISHED = "patients_so_far"


def traffic_folder(settings: Settings) -> Path:
    """The folder of the days' files."""
    return settings.workspace / "monitoring" / "traffic"


def traffic_path(settings: Settings, day: date) -> Path:
    """The file of a day's hours."""
    return traffic_folder(settings) / f"{day:%Y%m%d}.jsonl"


def textfile_path(settings: Settings) -> Path:
    """The newest hour, for Prometheus."""
    return settings.workspace / "monitoring" / "traffic.prom"


def measure_day(settings: Settings, day: date) -> list[dict[str, Any]]:
    """Measure the hours (UTC) of a day in which anyone asked, and write them."""
    log = settings.workspace / "interactions" / f"{day:%Y%m%d}.jsonl"
    by_hour: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(log, json.loads) if log.exists() else ():
        by_hour[line["at"][:13]].append(line)
    hours, patients = [], set()
    for hour in sorted(by_hour):
        patients |= {line["patient"] for line in by_hour[hour]}
        hours.append({"hour": f"{hour}:00Z", **measure_hour(by_hour[hour]), UNPUBLISHED: len(patients)})
    write_bytes(traffic_path(settings, day), "".join(json.dumps(hour) + "\n" for hour in hours).encode())
    if hours:
        write_bytes(textfile_path(settings), render_textfile(settings.clinic, hours[-1]).encode())
    return hours


def measure_hour(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count an hour's interactions: how many, how fast, which shares, how long the prompts."""
    seconds = [sum(line["seconds"].values()) for line in lines]
    segments = [len(line["kept"]) for line in lines]
    return {
        "questions": len(lines),
        **{f"seconds_p{q}": round(float(np.percentile(seconds, q)), 4) for q in (50, 95, 99)},
        **{f"share_{name}": round(sum(map(counts, lines)) / len(lines), 4) for name, counts in SHARES.items()},
        "segments_p50": float(np.median(segments)),
        "candidates_p50": float(np.median([line["candidates"] for line in lines])),
        "words": sum(line.get("words") or 0 for line in lines),
    }


def render_textfile(clinic: str, hour: dict[str, Any]) -> str:
    """An hour's figures as Prometheus gauges."""
    lines = []
    for name, value in hour.items():
        if name not in ("hour", UNPUBLISHED):
            metric = f"pmlm_hour_{name}"
            lines += [f"# TYPE {metric} gauge", f'{metric}{{clinic="{clinic}"}} {value}']
    return "\n".join(lines) + "\n"
