"""``make bench-serving``: every row of the endpoint's speed, one run, into ``benchmarks/results/serving.json``."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import typer

from benchmarks.serving import servers
from benchmarks.serving.figures import compute_added_latency, percentile, row
from benchmarks.serving.load import Answer, Target, at_rate, load_in_turns, run_closed_loop, with_bodies
from benchmarks.serving.profile import profile
from benchmarks.serving.questions import chats, questions, requests
from benchmarks.serving.responses import measure_responses
from benchmarks.serving.workers import measure_workers
from feature_repo.store import online
from feature_repo.store.feast_store import open_store
from feature_repo.store.services import SERVICE
from pipelines.evaluation.nightly.intervals import wilson_interval
from pipelines.packaging import serving
from pmlm.errors import ServingError
from pmlm.settings import PROJECT, Settings, load_settings

RESULTS = PROJECT / "benchmarks" / "results" / "serving.json"
LATENCY_S = 0.05
ONE, MANY = 1, 50
ALONE = {"cold", "gateway", "first_token", "responses", "personalize", "overload"}  # of one worker
PARTS = ALONE | {"workers", "profile"}


def whole_chat(body: bytes) -> bool:
    """Whether a chat answer says how it ended."""
    return b'"finish_reason":"stop"' in body.replace(b'": "', b'":"')


def subjects(settings: Settings) -> list[int]:
    """Every patient of the clinic with features online."""
    table = ds.dataset(str(settings.events)).to_table(columns=["subject_id"])
    known = sorted(set(table["subject_id"].to_pylist()))
    return [subject for subject in known if online.read(settings.feast, subject) is not None]


def gateway(targets: dict[str, Target], bodies: Iterator[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """Latency that PMLM and LiteLLM add to a call, and how many calls each carries."""
    rows = []
    for clients, each in ((ONE, dict.fromkeys(targets, 400)), (MANY, {"direct": 2000, "pmlm": 1600, "litellm": 1000})):
        loads = load_in_turns(with_bodies(targets, bodies), clients, each, share)
        direct = loads["direct"].times
        for q in (50, 99):
            ours, interval = compute_added_latency(loads["pmlm"].times, direct, q)
            theirs, their_interval = compute_added_latency(loads["litellm"].times, direct, q)
            rows.append(
                row(
                    f"gateway.added_p{q}.{clients}", ours, "ms", len(loads["pmlm"].served), baseline=theirs,
                    target="ratio <= 0.5", holds=ours <= 0.5 * theirs, interval=interval,
                    baseline_interval=their_interval,
                )
            )  # fmt: skip
        rate, their_rate = loads["pmlm"].rate, loads["litellm"].rate
        holds = rate >= 4 * their_rate if clients == MANY else None
        target = "ratio >= 4" if clients == MANY else None
        n, failed = len(loads["pmlm"].answers), loads["pmlm"].failed + len(loads["pmlm"].shed)
        rows.append(
            row(f"gateway.rate.{clients}", rate, "requests/s", n, baseline=their_rate, target=target, holds=holds)
        )
        rows.append(
            row(f"gateway.failed.{clients}", failed, "requests", n, target="0", holds=failed == 0,
                interval=wilson_interval(failed, n), baseline_failed=loads["litellm"].failed)
        )  # fmt: skip
    return rows


def first_token(targets: dict[str, Target], bodies: Iterator[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """What each adds until the first streamed text, one client, the stub sending whole sentences."""
    loads = load_in_turns(with_bodies(targets, bodies), ONE, dict.fromkeys(targets, 200), share)
    first = {name: [a.first for a in load.served] for name, load in loads.items()}
    rows = []
    for q in (50, 99):
        ours, interval = compute_added_latency(first["pmlm"], first["direct"], q)
        theirs, their_interval = compute_added_latency(first["litellm"], first["direct"], q)
        rows.append(
            row(
                f"first_token.added_p{q}", ours, "ms", len(first["pmlm"]), baseline=theirs, target="ratio <= 1",
                holds=ours <= theirs, interval=interval, baseline_interval=their_interval,
            )
        )  # fmt: skip
    return rows


def personalize(
    settings: Settings, ours: Target, patients: list[str], known: list[int], share: float
) -> list[dict[str, Any]]:
    """``/personalize`` against an empty BentoML endpoint and a bare read of the features from Feast."""
    bodies = requests(patients, questions(300_000))
    with servers.empty(settings) as url:
        bare = Target(f"{url}/personalize", ours.headers, lambda body: True)
        run_closed_loop(bare, bodies, ONE, 50)
        loads = load_in_turns(
            with_bodies({"pmlm": ours, "empty": bare}, bodies), ONE, {"pmlm": 400, "empty": 400}, share
        )
    store = open_store(settings.feast)
    service = store.get_feature_service(SERVICE)
    reads = []
    for subject in [*known, *known, *known, *known][:300]:
        started = time.perf_counter()
        store.get_online_features(features=service, entity_rows=[{"subject_id": subject}]).to_dict()
        reads.append(time.perf_counter() - started)
    rows = []
    for q in (50, 99):
        empty, read = 1e3 * percentile(loads["empty"].times, q), 1e3 * percentile(reads, q)
        value = 1e3 * percentile(loads["pmlm"].times, q)
        rows.append(
            row(
                f"personalize.p{q}", value, "ms", len(loads["pmlm"].served), baseline=empty + read,
                target="ratio <= 3" if q == 50 else None, holds=value <= 3 * (empty + read) if q == 50 else None,
                empty_endpoint_ms=round(empty, 3), bare_read_ms=round(read, 3),
            )
        )  # fmt: skip
    return rows


def overload(ours: Target, bodies: Iterator[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """Offer four times what can be served: the rest is refused, and what is taken is in time."""
    normal = run_closed_loop(ours, bodies, MANY, int(share * 1000))
    heavy = at_rate(ours, bodies, 4 * normal.rate, share * 12.0)
    usual, now = percentile(normal.times, 99), percentile(heavy.times, 99)
    n = len(heavy.answers)
    return [
        row("overload.p99", 1e3 * now, "ms", len(heavy.served), baseline=1e3 * usual, target="ratio <= 2",
            holds=now <= 2 * usual, offered_per_s=round(4 * normal.rate, 1), served_per_s=round(heavy.rate, 1)),
        row("overload.shed", len(heavy.shed), "requests", n, target="> 0", holds=bool(heavy.shed),
            shed_p50_ms=round(1e3 * statistics.median([a.seconds for a in heavy.shed] or [0.0]), 3)),
        row("overload.failed", heavy.failed, "requests", n, target="0", holds=heavy.failed == 0,
            interval=wilson_interval(heavy.failed, n), statuses=_statuses(heavy.answers)),
    ]  # fmt: skip


def _statuses(answers: list[Answer]) -> dict[str, int]:
    return {str(status): sum(a.status == status for a in answers) for status in sorted({a.status for a in answers})}


def cold(ours: Target, patients: list[str], asked: Iterator[str]) -> list[dict[str, Any]]:
    """The first question about each patient after a start, whose sentences have no vectors yet."""
    load = run_closed_loop(ours, chats(patients, asked), ONE, len(patients))
    return [
        row("gateway.cold_p50", 1e3 * percentile(load.times, 50), "ms", len(load.served), latency_ms=1e3 * LATENCY_S)
    ]


def main(
    out: Path = typer.Option(RESULTS, help="Where the rows are written; rows of parts that are not run stay."),
    only: str = typer.Option("", help="Names of the parts to run, with commas between; default: all."),
    share: float = typer.Option(1.0, help="Of the usual number of requests; less is quicker and less certain."),
) -> None:
    """Measure the current release and the LiteLLM proxy against a stub language model."""
    chosen = set(only.split(",")) if only else PARTS
    settings = load_settings()
    if not serving.current_release(settings).exists():
        raise ServingError("there is no release to measure: run `make night` first")
    known = subjects(settings)
    patients = [f"subject:{subject}" for subject in known]
    if chosen & ALONE:
        _measure_alone(out, chosen, known, patients, share)
    if "workers" in chosen:
        _note(out, measure_workers(LATENCY_S, patients, whole_chat, share))
    if "profile" in chosen:
        _note(out, profile(settings, known))


def _measure_alone(out: Path, chosen: set[str], known: list[int], patients: list[str], share: float) -> None:
    """The parts that one worker is measured by."""
    with servers.stub(LATENCY_S) as llm, servers.endpoint(llm) as (settings, running):
        headers = servers.token(settings)
        ours = Target(f"{running.url}/v1/chat/completions", headers, whole_chat)
        _note(out, cold(ours, patients, questions()))
        if chosen & {"gateway", "first_token"}:
            with servers.litellm(llm) as (proxy, key):
                targets = {
                    "direct": Target(f"{llm}/chat/completions", headers, whole_chat),
                    "pmlm": ours,
                    "litellm": Target(f"{proxy}/v1/chat/completions", key, whole_chat),
                }
                for target in targets.values():
                    run_closed_loop(target, chats(patients, questions(50_000)), MANY, 200)
                if "gateway" in chosen:
                    _note(out, gateway(targets, chats(patients, questions(100_000)), share))
                if "first_token" in chosen:
                    _note(out, first_token(targets, chats(patients, questions(150_000), stream=True), share))
        if "responses" in chosen:
            _note(out, measure_responses(ours, patients, share))
        if "personalize" in chosen:
            native = Target(f"{running.url}/personalize", headers, lambda body: b'"prompt"' in body)
            _note(out, personalize(settings, native, patients, known, share))
        if "overload" in chosen:
            _note(out, overload(ours, chats(patients, questions(200_000)), share))
        about = {"litellm": servers.litellm_version(), "release": running.release}
        _note(out, [row("stub.latency", 1e3 * LATENCY_S, "ms", len(known), **about)])


def _note(out: Path, rows: list[dict[str, Any]]) -> None:
    """Put the rows in place of those of their names, and print them."""
    previous = {one["name"]: one for one in json.loads(out.read_text())} if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(list((previous | {one["name"]: one for one in rows}).values()), indent=1) + "\n")
    for one in rows:
        judged = f"target {one['target']} holds {one['holds']}" if one["target"] else ""
        against = f"baseline {one['baseline']} ratio {one['ratio']}" if one["baseline"] else ""
        typer.echo(f"{one['name']:<26} {one['value']:>10} {one['unit']:<10} n {one['n']:<5} {against} {judged}")


if __name__ == "__main__":
    typer.run(main)
