"""What a second worker gives: PMLM and LiteLLM with one and with two, in turns of one run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.serving import servers
from benchmarks.serving.figures import compute_added_latency, row
from benchmarks.serving.load import Load, Target, load_in_turns, run_closed_loop, with_bodies
from benchmarks.serving.questions import chats, questions
from pipelines.evaluation.nightly.intervals import wilson_interval

WORKERS = (1, 2)
CLIENTS = 50
EACH = 1600


def measure_workers(
    latency: float, patients: list[str], whole: Callable[[bytes], bool], share: float
) -> list[dict[str, Any]]:
    """Chats of 50 clients through one worker of each and through two; all are started before any is loaded."""
    with ExitStack() as running:
        llm = running.enter_context(servers.stub(latency))
        targets: dict[str, Target] = {}
        for workers in WORKERS:
            settings, endpoint = running.enter_context(servers.endpoint(llm, workers))
            headers = servers.token(settings)
            targets[f"pmlm.{workers}"] = Target(f"{endpoint.url}/v1/chat/completions", headers, whole)
            proxy, key = running.enter_context(servers.litellm(llm, workers))
            targets[f"litellm.{workers}"] = Target(f"{proxy}/v1/chat/completions", key, whole)
        targets["direct"] = Target(f"{llm}/chat/completions", headers, whole)
        for target in targets.values():
            run_closed_loop(target, chats(patients, questions(350_000)), CLIENTS, 400)
        bodies = chats(patients, questions(400_000))
        loads = load_in_turns(with_bodies(targets, bodies), CLIENTS, dict.fromkeys(targets, EACH), share)
    return build_rows(loads)


def build_rows(loads: dict[str, Load]) -> list[dict[str, Any]]:
    """Two of ours against two of theirs, and what each gains by its second."""
    ours, theirs = loads["pmlm.2"], loads["litellm.2"]
    n, failed = len(ours.answers), ours.failed + len(ours.shed)
    rows = [
        row("workers.rate.2", ours.rate, "requests/s", n, baseline=theirs.rate, target="ratio >= 2.5",
            holds=ours.rate >= 2.5 * theirs.rate),
        row("workers.failed.2", failed, "requests", n, target="0", holds=failed == 0,
            interval=wilson_interval(failed, n), baseline_failed=theirs.failed),
        row("workers.second", ours.rate, "requests/s", n, baseline=loads["pmlm.1"].rate, target="ratio >= 2",
            holds=ours.rate >= 2 * loads["pmlm.1"].rate),
        row("workers.second_litellm", theirs.rate, "requests/s", len(theirs.answers), baseline=loads["litellm.1"].rate),
    ]  # fmt: skip
    for q in (50, 99):
        value, interval = compute_added_latency(ours.times, loads["direct"].times, q)
        other, their_interval = compute_added_latency(theirs.times, loads["direct"].times, q)
        rows.append(
            row(f"workers.added_p{q}.2", value, "ms", len(ours.served), baseline=other, target="ratio <= 0.5",
                holds=value <= 0.5 * other, interval=interval, baseline_interval=their_interval)
        )  # fmt: skip
    return rows
