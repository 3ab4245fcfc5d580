"""Measure triage of messages now, and on each new round before anything learns from it.

    python -m benchmarks.triage                    measure all rounds, leave the first looks as they are
    python -m benchmarks.triage --first-look FILE  measure a new round before anything learns from it, and add that

Writes ``benchmarks/results/triage.json``, rows {round, met, name, label, escalated, n, share, low, high}: ``met`` is
``now`` or the system at the first look at that round; low and high are Wilson's 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "triage.json"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--first-look", type=Path, help="JSON Lines of a round that is not yet in examples/triage.jsonl"
    )
    from models.encoder import MiniLM
    from pipelines.triage import corpus, evaluation

    asked = parser.parse_args()
    encoder = MiniLM()
    first_looks = [row for row in _read_results() if row["met"] != "now"]
    if asked.first_look:
        messages = corpus.read_judged(asked.first_look)
        number = messages[0]["round"]
        if any(row["round"] == number for row in first_looks):
            raise SystemExit(f"round {number} was looked at before: a first look is taken once")
        first_looks += [
            {"round": number, "met": "rules and classifier", **row} for row in evaluation.build_rows(messages, encoder)
        ]
    judged = corpus.read_judged()
    now = [{"round": "all", "met": "now", **row} for row in evaluation.build_rows(judged, encoder)]
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(row) for row in [*first_looks, *now]) + "\n]\n")
    sys.stdout.write(f"{evaluation.format_table(now)}\n")


def _read_results() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


if __name__ == "__main__":
    main()
