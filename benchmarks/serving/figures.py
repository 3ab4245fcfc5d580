"""Numbers from times: percentiles, shares and slopes, with their intervals."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

RESAMPLES = 1000
Interval = tuple[float, float]


def percentile(times: Sequence[float], q: float) -> float:
    return float(np.percentile(times, q))


def compute_added_latency(through: Sequence[float], direct: Sequence[float], q: float) -> tuple[float, Interval]:
    """Latency (ms) that a proxy adds at a percentile, with its 95 % bootstrap interval."""
    random = np.random.default_rng(0)
    a, b = np.asarray(through), np.asarray(direct)
    drawn = [
        np.percentile(random.choice(a, len(a)), q) - np.percentile(random.choice(b, len(b)), q)
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return 1e3 * (percentile(a, q) - percentile(b, q)), (1e3 * float(low), 1e3 * float(high))


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, Interval]:
    """The least-squares slope of y over x with a 95 % interval (normal errors)."""
    xs, ys = np.asarray(x), np.asarray(y)
    spread = ((xs - xs.mean()) ** 2).sum()
    found = float(((xs - xs.mean()) * (ys - ys.mean())).sum() / spread)
    rest = ys - ys.mean() - found * (xs - xs.mean())
    error = 1.96 * math.sqrt(float((rest**2).sum()) / max(1, len(xs) - 2) / float(spread))
    return found, (found - error, found + error)


def row(
    name: str,
    value: float,
    unit: str,
    n: int,
    *,
    baseline: float | None = None,
    target: str | None = None,
    holds: bool | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One published number. ``ratio`` is value over baseline."""
    ratio = round(value / baseline, 3) if baseline else None
    rounded = None if baseline is None else round(baseline, 3)
    values = {"name": name, "value": round(value, 3), "unit": unit, "baseline": rounded, "ratio": ratio}
    return {**values, "target": target, "holds": holds, "n": n, "machine": machine(), **more}


def machine() -> str:
    """Processor, cores and memory, and what Python: a number means nothing without them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{model}, {os.cpu_count()} cores, {memory} GiB, Python {platform.python_version()}"
