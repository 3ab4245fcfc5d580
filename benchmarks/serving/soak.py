"""``make soak``: half an hour at 50 requests a second; no failed request, and memory that does not grow."""

from __future__ import annotations

import json
import time

import typer

from benchmarks.serving import servers
from benchmarks.serving.__main__ import RESULTS, subjects, whole_chat
from benchmarks.serving.figures import percentile, row, slope, wilson
from benchmarks.serving.load import Target, at_rate, closed
from benchmarks.serving.questions import chats, questions
from pipelines.settings import load

RATE = 50.0
WARM_UP = 1 / 3  # of the time, whose memory does not count
STEADY_MB = 1.0  # a minute


def main(
    minutes: float = typer.Option(30.0, help="How long."),
    rate: float = typer.Option(RATE, help="Requests a second."),
) -> None:
    """Load the current release evenly and watch its worker's resident memory; writes ``results/soak.json``."""
    patients = [f"subject:{subject}" for subject in subjects(load())]
    watched: list[tuple[float, float]] = []
    with servers.stub(0.05) as llm, servers.endpoint(llm) as (settings, running):
        ours = Target(f"{running.url}/v1/chat/completions", servers.token(settings), whole_chat)
        bodies = chats(patients, questions())
        closed(ours, bodies, 8, 4 * len(patients))
        worker, started = servers.worker(running), time.perf_counter()

        def watch() -> None:
            watched.append(((time.perf_counter() - started) / 60, worker.memory_info().rss / 2**20))

        done = at_rate(ours, bodies, rate, 60 * minutes, watch, every=max(1.0, minutes))
    steady = [(at, size) for at, size in watched if at > WARM_UP * minutes]
    growth, interval = slope([at for at, _ in steady], [size for _, size in steady])
    failed, n = len(done.answers) - len(done.served), len(done.answers)
    rows = [
        row("soak.failed", failed, "requests", n, target="0", holds=failed == 0, interval=wilson(failed, n),
            minutes=minutes),
        row("soak.memory_slope", growth, "MiB/minute", len(steady), target=f"|slope| <= {STEADY_MB}",
            holds=abs(growth) <= STEADY_MB, interval=interval, minutes=minutes,
            first_mib=round(watched[0][1], 1), last_mib=round(watched[-1][1], 1)),
        row("soak.p99", 1e3 * percentile(done.times, 99), "ms", len(done.served), minutes=minutes, offered_per_s=rate,
            p50_ms=round(1e3 * percentile(done.times, 50), 1)),
    ]  # fmt: skip
    (RESULTS.parent / "soak.json").write_text(json.dumps(rows, indent=1) + "\n")
    for one in rows:
        typer.echo(json.dumps(one))


if __name__ == "__main__":
    typer.run(main)
