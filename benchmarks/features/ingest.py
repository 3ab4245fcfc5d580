"""Measure ingestion: FHIR lines to validated, de-identified events, as in a night.

Each size runs in a process of its own, for its own peak memory. The rate is per second of processor time over all
threads ("per second and core"), which a busy machine changes little.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from benchmarks.serving.figures import row
from pmlm.settings import PROJECT, Settings

HISTORY = PROJECT / "examples" / "clinic" / "2026-06-01"
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{8}(?=[0-9a-f]{4})[0-9a-f]{4}")


def measure_ingest(copies: int) -> Iterator[dict[str, Any]]:
    """Measure the rate for copies of the sample history, and memory growth.

    Memory is compared between ``copies`` and six times as many. One copy is less than ingestion has in memory at once
    (a row group of the log is 122,880 events), so it says nothing of growth; its peak is reported with the others.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        one, many, most = (_measure(base / str(n), n) for n in (1, copies, 6 * copies))
    rate = many["read"] / many["processor_s"]
    bare = many["read"] / many["parse_s"]
    more = {"wall_s": round(many["wall_s"], 1), "events": many["events"], "baseline_is": "parsing the JSON alone"}
    yield row(
        "ingest", rate, "resources/s/core", many["read"], baseline=bare, target=">= 10000", holds=rate >= 1e4, **more
    )
    every = (one, many, most)
    sizes = {"mib": [round(m["peak_mib"]) for m in every], "resources": [m["read"] for m in every]}
    growth = (most["peak_mib"] - many["peak_mib"]) / ((most["read"] - many["read"]) / 1e6)
    yield row(
        "ingest_memory", growth, "MiB a million resources more", most["read"], target="flat", holds=growth < 50, **sizes
    )


def _measure(folder: Path, copies: int) -> dict[str, Any]:
    drop = folder / "drops" / "2026-06-01"
    write_drop(drop, copies)
    command = [sys.executable, "-m", "benchmarks.features.ingest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def write_drop(drop: Path, copies: int) -> None:
    """Write copies of the sample history as one drop, with ids of their own."""
    drop.mkdir(parents=True)
    for file in sorted(HISTORY.glob("*.ndjson.gz")):
        lines = gzip.decompress(file.read_bytes())
        with (drop / file.name.removesuffix(".gz")).open("wb") as stream:
            for copy in range(copies):
                own = b"%04x" % copy
                stream.write(lines if not copy else _UUID.sub(lambda m, own=own: m.group()[:-4] + own, lines))


def _take_in(folder: Path) -> dict[str, Any]:
    from pipelines.records.stage import run

    parsed = _parse(folder / "drops" / "2026-06-01")
    settings = Settings(home=folder / "home", drops=folder / "drops", key_dir=folder / "keys")
    wall, processor = time.perf_counter(), time.process_time()
    summary = run(settings, "20260601")
    return {
        "read": summary.rows_in,
        "events": summary.rows_out,
        "wall_s": time.perf_counter() - wall,
        "processor_s": time.process_time() - processor,
        "parse_s": parsed,
        "peak_mib": read_peak_mib(),
    }


def read_peak_mib() -> float:
    """Read this program's peak memory; ``getrusage`` counts the process before ``exec`` too."""
    stated = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", stated)[0]) / 1024


def _parse(drop: Path) -> float:
    """Measure the processor seconds that parsing every line takes."""
    started = time.process_time()
    for file in sorted(drop.iterdir()):
        with file.open("rb") as stream:
            for line in stream:
                with suppress(orjson.JSONDecodeError):  # some of the sample's lines are broken on purpose
                    orjson.loads(line)
    return time.process_time() - started


if __name__ == "__main__":
    print(json.dumps(_take_in(Path(sys.argv[1]))))  # noqa: T201
