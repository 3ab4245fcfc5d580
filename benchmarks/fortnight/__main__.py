"""``make fortnight``: run it, draw it, and end with one JSON line; exit 1 where a hard promise breaks.

The line goes into ``benchmarks/results/fortnight.jsonl`` too, with the machine, in place of an earlier one of its seed.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.fortnight import simulation
from benchmarks.fortnight.clean_count import compare_events, read_events
from benchmarks.fortnight.findings import (
    count_requests,
    explain_misses,
    find_drift,
    judge_promotions,
    list_false_alarms,
    store_result,
    write_report,
)
from benchmarks.fortnight.plan import draw_plan
from benchmarks.fortnight.timeline import draw_timeline
from pmlm.settings import PROJECT

RESULTS = PROJECT / "benchmarks" / "results" / "fortnight.jsonl"
#: What must be 0.
PROMISES = ("failed_requests", "lost", "doubled", "erased_found")


def main(
    seed: Annotated[int, typer.Option(help="What is planted, and when.")] = 1,
    state: Annotated[Path, typer.Option(help="Where the clinics of the runs are.")] = PROJECT / "state" / "fortnight",
) -> None:
    """Run fourteen nights with planted faults under traffic; the last line is one JSON object.

    For example: python -m benchmarks.fortnight --seed 2
    """
    _use_one_thread()
    began, plan = time.time(), draw_plan(seed)
    run = simulation.open_fortnight(plan, state / str(seed), _report)
    _report(f"planted: {plan}")
    with simulation.count_clean(run) as clean:
        settings = simulation.run_nights(run)
    erased = {settings.subject_id(run.erased)}
    lost, doubled = compare_events(read_events(settings, erased), read_events(clean, erased))
    asked, (promoted, refused) = count_requests(run.log), judge_promotions(plan, run.records)
    line: dict[str, Any] = {
        "seed": seed,
        "promoted_better": promoted,
        "refused_worse": refused,
        "drift_found": sum(find_drift(plant, run.records) is not None for plant in plan.drifts),
        "drift_planted": len(plan.drifts),
        "false_alarms": len(list_false_alarms(plan, run.records)),
        "requests": asked.requests,
        "failed_requests": asked.failed,
        "lost": lost,
        "doubled": doubled,
        "erased_found": len(simulation.find_erased(run, settings)),
    }
    picture = run.folder / "timeline.png"
    draw_timeline(picture, plan, run.records, line, _count_by_night(run))
    line["timeline"] = str(picture.relative_to(PROJECT) if picture.is_relative_to(PROJECT) else picture)
    write_report(run.folder / "fortnight.json", plan, run.records, line)
    for miss in explain_misses(plan, run.records, line):
        _report(f"missed: {miss}")
    seconds, processors = round(time.time() - began), round(_measure_cpu())
    _report(f"{asked.releases} releases answered; {seconds} s, {processors} s of processors")
    store_result(RESULTS, line, seconds=seconds, processor_seconds=processors)
    typer.echo(json.dumps(line))
    if any(line[name] for name in PROMISES):
        raise typer.Exit(1)


def _use_one_thread() -> None:
    """Compute with one thread in each process: nights and endpoint share two cores, and threads that wait spin."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _count_by_night(run: simulation.Fortnight) -> dict[int, int]:
    """The requests sent from each night's beginning to the next one's."""
    lines = [json.loads(line)["at"] for line in run.log.read_text().splitlines()]
    starts = sorted(run.started.items())
    ends = [*(at for _, at in starts[1:]), float("inf")]
    return {night: sum(at <= one < end for one in lines) for (night, at), end in zip(starts, ends, strict=True)}


def _measure_cpu() -> float:
    """Seconds of processors used by this process and all that it started, the endpoint among them."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
