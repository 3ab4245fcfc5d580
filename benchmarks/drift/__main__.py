"""Measure drift's false alarms and what it finds; minutes a clinic on an idle core.

    python -m benchmarks.drift [--clinic small --clinic ward] [--nights 200] [--tries 10]

Writes the clinics measured into ``benchmarks/results/drift.json``. Exit 1 where more than 5 % of a clinic's quiet
nights raise an alarm, or an ordinary or large clinic misses a shift of full strength in more than one of ten tries.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.drift import nights, plants, replay
from benchmarks.drift.pools import read_pools

RESULTS = Path(__file__).parents[1] / "results" / "drift.json"
PLANTED_IN = ("small", "ordinary", "large")
MOST_ALARMS, FEWEST_FOUND = 0.05, 0.9
CORES = 2


def main() -> None:
    """Measure, print as it goes, write, and exit 1 where a promise fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [one.name for one in nights.SETTINGS]
    parser.add_argument("--clinic", action="append", choices=names, help="measure this clinic; none: all")
    parser.add_argument("--nights", type=int, default=200, help="quiet nights of each clinic")
    parser.add_argument("--tries", type=int, default=10, help="tries of each planted shift")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pools = read_pools(Path(folder))
    broken = []
    os.environ["POLARS_MAX_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # each process has one core
    with ProcessPoolExecutor(CORES, get_context("spawn")) as workers:
        for setting in nights.SETTINGS:
            if setting.name in (wanted.clinic or names):
                found = measure_clinic(workers, pools, setting, wanted.nights, wanted.tries)
                write_clinic(setting, found)
                broken += list_broken(setting.name, found)
    sys.stdout.writelines(f"{line}\n" for line in broken)
    sys.exit(1 if broken else 0)


def measure_clinic(
    workers: ProcessPoolExecutor, pools: nights.Pools, setting: nights.Setting, wanted: int, tries: int
) -> dict[str, Any]:
    """Measure one clinic's false alarms, and what it finds."""
    started = time.monotonic()
    chains = workers.map(partial(replay.replay_quiet, pools, setting), range(-(-wanted // replay.CHAIN)))
    quiet = replay.sum_quiet([night for chain in chains for night in chain])
    sys.stdout.write(f"{setting.name}: {quiet}\n")
    planted: list[dict[str, Any]] = []
    for family in dict.fromkeys(one.family for one in plants.PLANTS) if setting.name in PLANTED_IN else ():
        measure = partial(replay.find_plants, pools, setting, family)
        found = [row for part in workers.map(measure, range(1_000, 1_000 + tries)) for row in part]
        planted += replay.sum_plants(found)
        sys.stdout.writelines(f"{setting.name}: {row}\n" for row in planted)
    return {
        "command": f"python -m benchmarks.drift --clinic {setting.name} --nights {wanted} --tries {tries}",
        "machine": f"{platform.machine()}, {CORES} processes on {os.cpu_count()} cores",
        "seconds": round(time.monotonic() - started),
        "clinic": {name: getattr(setting, name) for name in setting.__slots__},
        "quiet": quiet,
        "planted": planted,
    }


def write_clinic(setting: nights.Setting, found: dict[str, Any]) -> None:
    """Write one clinic's figures, beside those of others."""
    clinics = json.loads(RESULTS.read_text())["clinics"] if RESULTS.exists() else {}
    whole = {
        "params": replay.PARAMS.model_dump(),
        "plants": {one.name: {"family": one.family, "strength": one.meaning} for one in plants.PLANTS},
        "clinics": clinics | {setting.name: found},
    }
    RESULTS.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def list_broken(name: str, found: dict[str, Any]) -> list[str]:
    """What was promised and is not so, one line each."""
    quiet, full = found["quiet"], {one.name: one.strengths[-1] for one in plants.PLANTS if not one.slow}
    broken = []
    if quiet["nights_with_alarm"] > MOST_ALARMS * quiet["nights"]:
        broken.append(f"{name}: {quiet['nights_with_alarm']} of {quiet['nights']} quiet nights raise an alarm")
    for one in found["planted"]:
        whole = one["strength"] == full.get(one["plant"])
        if name != "small" and whole and one["within_two"] < FEWEST_FOUND * one["tries"]:
            broken.append(f"{name}: {one['plant']} found in {one['within_two']} of {one['tries']} tries")
    return broken


if __name__ == "__main__":
    main()
