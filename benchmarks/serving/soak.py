"""``make soak``: half an hour at 50 requests a second; no failed request, and memory that does not grow."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import typer

from benchmarks.serving import servers
from benchmarks.serving.__main__ import RESULTS, subjects, whole_chat
from benchmarks.serving.figures import percentile, row, slope
from benchmarks.serving.load import Load, Target, at_rate, run_closed_loop
from benchmarks.serving.questions import chats, questions
from pipelines.evaluation.nightly.intervals import wilson_interval
from pipelines.packaging import serving
from pmlm.errors import ServingError
from pmlm.settings import load_settings

RATE = 50.0
WARM_UP = 1 / 3  # of the time, whose memory does not count
STEADY_MB = 1.0  # a minute
#: Answers in time keep the rate; what is asked in the last seconds is answered after them.
SUSTAINED_SHARE = 0.98

Watched = list[tuple[float, float]]


def main(
    minutes: float = typer.Option(30.0, help="How long; at least 0.2."),
    rate: float = typer.Option(RATE, help="Requests a second."),
    out: Path = typer.Option(RESULTS.parent / "soak.json", help="Where the rows are written."),
) -> None:
    """Load the current release evenly and watch its worker's resident memory.

    For example: python -m benchmarks.serving.soak --minutes 0.5 --out /tmp/soak.json
    """
    settings = load_settings()
    if not serving.current_release(settings).exists():
        raise ServingError("there is no release to measure: run `make night` first")
    patients = [f"subject:{subject}" for subject in subjects(settings)]
    watched: Watched = []
    lost: list[float] = []
    with servers.stub(0.05) as llm, servers.endpoint(llm) as (settings, running):
        ours = Target(f"{running.url}/v1/chat/completions", servers.token(settings), whole_chat)
        bodies = chats(patients, questions())
        run_closed_loop(ours, bodies, 8, 4 * len(patients))
        worker, started = servers.worker(running), time.perf_counter()

        def watch() -> None:
            at = (time.perf_counter() - started) / 60
            try:
                watched.append((at, worker.memory_info().rss / 2**20))
            except psutil.NoSuchProcess:
                lost.append(at)

        done = at_rate(ours, bodies, rate, 60 * minutes, watch, every=max(1.0, minutes))
    rows = build_rows(done, watched, lost, minutes, rate)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n")
    for one in rows:
        typer.echo(json.dumps(one))


def build_rows(done: Load, watched: Watched, lost: list[float], minutes: float, rate: float) -> list[dict[str, Any]]:
    """The rows: failures, rate, latency, memory; ``lost``: when the worker was gone."""
    failed, n = len(done.answers) - len(done.served), len(done.answers)
    statuses = dict(sorted(Counter(str(a.status) for a in done.answers).items()))
    rows = [
        row("soak.failed", failed, "requests", n, target="0", holds=failed == 0 and not lost,
            interval=wilson_interval(failed, n), minutes=minutes, statuses=statuses, worker_lost=bool(lost)),
        row("soak.rate", done.rate, "requests/s", n, baseline=rate, target=f"ratio >= {SUSTAINED_SHARE}",
            holds=done.rate >= SUSTAINED_SHARE * rate, minutes=minutes),
    ]  # fmt: skip
    if done.times:
        rows.append(
            row("soak.p99", 1e3 * percentile(done.times, 99), "ms", len(done.served), minutes=minutes,
                offered_per_s=rate, p50_ms=round(1e3 * percentile(done.times, 50), 1))
        )  # fmt: skip
    steady = [(at, size) for at, size in watched if at > WARM_UP * minutes]
    if len(steady) > 2:
        growth, interval = slope([at for at, _ in steady], [size for _, size in steady])
        rows.append(
            row("soak.memory_slope", growth, "MiB/minute", len(steady), target=f"|slope| <= {STEADY_MB}",
                holds=abs(growth) <= STEADY_MB and not lost, interval=interval, minutes=minutes,
                first_mib=round(watched[0][1], 1), last_mib=round(watched[-1][1], 1))
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    typer.run(main)
