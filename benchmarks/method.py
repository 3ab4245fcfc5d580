"""Measure the method on a generated clinic of any size, and publish it.

``python -m benchmarks.method --women 300 --seeds 3`` writes ``results/method_300_women.jsonl`` (the rows of
``pmlm evaluate``) and ``method_300_women.md`` (how they were made). Every step is skipped where it is done: the clinic
is generated once, nights are run for drops that are pending, finished parts of the evaluation are found again. So a run
that was stopped goes on, and ``--rows`` measures some rows first; what is known by then is published. Rows that ask no
language model are cheap, so ``--held-out 400`` measures them on more questions than a night's gate affords. Rows of
earlier runs stay unless measured again: delete the file to start over. ``--curve`` shows the learning curve over all
published sizes instead.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.serving.figures import machine

RESULTS = Path(__file__).parent / "results"
SEED = 7
#: More training episodes and more held-out ones than a night affords.
PARAMS = {"episodes": {"most_train": 4000, "most_held_out": 72}}
CURVE = ("ranking_f1", "refined_f1", "refined_vs_ranking", "refined_share_of_true_facts_gain", "selection_swap",
         "topic_episodes_80_and_over_refined_f1")  # fmt: skip


def main() -> None:
    """Measure one clinic, or print the learning curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--women", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of what is trained")
    parser.add_argument("--clinic-seed", type=int, default=SEED, help="seed of the clinic")
    parser.add_argument("--clinic-options", default="", help="further options of `pmlm synthesize`, as one string")
    parser.add_argument("--folder", type=Path, default=Path("state/benchmarks"), help="where clinics and state are")
    parser.add_argument("--rows", default="", help="measure these rows alone, beside those known")
    parser.add_argument("--held-out", type=int, default=0, help="gate and test episodes for these rows, if not 72")
    parser.add_argument("--external", type=Path, help="episodes that the repository does not hold")
    parser.add_argument("--external-train", type=Path)
    parser.add_argument("--curve", action="store_true", help="print the learning curve of the published clinics")
    asked = parser.parse_args()
    if asked.curve:
        sys.stdout.write(render_curve(read_published()) + "\n")
        return
    seconds = {
        "generate": _time(
            lambda: generate_clinic(clinic_folder(asked), asked.women, asked.clinic_seed, asked.clinic_options.split())
        )
    }
    seconds["nights"] = _time(lambda: _pmlm(asked, "night"))
    draw_held_out(asked)
    evaluation = ["evaluate", "--json", "--seeds", str(asked.seeds)]
    for name, value in (
        ("--rows", asked.rows),
        ("--external", asked.external),
        ("--external-train", asked.external_train),
    ):
        evaluation += [name, str(value)] if value else []
    seconds["evaluation"] = _time(lambda: _pmlm(asked, *evaluation))
    publish(asked, seconds)


def clinic_folder(asked: argparse.Namespace) -> Path:
    """The clinic's folder of drops; one per size and seed."""
    folder: Path = asked.folder.resolve() / f"clinic-{asked.women}-{asked.clinic_seed}"
    return folder


def generate_clinic(folder: Path, women: int, seed: int, options: Sequence[str] = ()) -> None:
    """Generate the clinic unless it is there, with the parameters of this measurement."""
    manifest = folder / "clinic.yaml"
    if manifest.exists():
        return
    _run("synthesize", "--patients", str(women), "--seed", str(seed), "--out", str(folder), *options)
    described = yaml.safe_load(manifest.read_text())
    given = described.get("params", {})
    described["params"] = given | {section: given.get(section, {}) | values for section, values in PARAMS.items()}
    manifest.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")


def draw_held_out(asked: argparse.Namespace) -> None:
    """Draw as many held-out episodes as asked for; those of the night are among them, and training stays as it was."""
    manifest = clinic_folder(asked) / "clinic.yaml"
    described = yaml.safe_load(manifest.read_text())
    episodes = described["params"]["episodes"]
    wanted = asked.held_out or PARAMS["episodes"]["most_held_out"]
    if episodes["most_held_out"] != wanted:
        episodes["most_held_out"] = wanted
        manifest.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
        _pmlm(asked, "stage", "episodes")


def publish(asked: argparse.Namespace, seconds: dict[str, float]) -> None:
    """Write how they were made and all rows known by now; a row of an earlier run stays where this one has none."""
    name = f"method_{asked.women}_women"
    clinic = yaml.safe_load((clinic_folder(asked) / "clinic.yaml").read_text())["name"]
    known = asked.folder.resolve() / "state" / clinic / "metrics" / "method.jsonl"
    rows = {(row["name"], row["split"]): row for row in (*_read_rows(RESULTS / f"{name}.jsonl"), *_read_rows(known))}
    ordered = sorted(rows.values(), key=lambda row: row["row"])
    (RESULTS / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ordered), encoding="utf-8")
    spent = ", ".join(f"{step} {value / 60:.0f} min" for step, value in seconds.items())
    text = (
        f"A clinic of {asked.women} women, by `python -m benchmarks.method --women {asked.women} --seeds {asked.seeds} "
        f"--clinic-seed {asked.clinic_seed} --clinic-options '{asked.clinic_options}'`, "
        f"with `{json.dumps(PARAMS)}` and default parameters otherwise. "
        f"{machine()}. This run: {spent}; steps that were done before cost nothing.\n"
    )
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")


def _read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def read_published() -> dict[int, dict[str, dict[str, Any]]]:
    """Read the published rows by number of women, then by name."""
    found = {}
    for path in RESULTS.glob("method_*_women.jsonl"):
        rows = _read_rows(path)
        found[int(path.stem.split("_")[1])] = {row["name"]: row for row in rows if row["split"] == "test"}
    return dict(sorted(found.items()))


def render_curve(published: dict[int, dict[str, dict[str, Any]]]) -> str:
    """The learning curve as a Markdown table: a line per row, a column per size."""
    lines = [
        "| row | " + " | ".join(f"{women} women" for women in published) + " |",
        "|" + " --- |" * (len(published) + 1),
    ]
    for name in CURVE:
        cells = [_render_cell(rows.get(name)) for rows in published.values()]
        if any(cells):
            lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _render_cell(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return ""
    interval = "" if row["ci_low"] is None else f" [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
    return f"{row['value']:.3f}{interval}"


def _pmlm(asked: argparse.Namespace, *command: str) -> str:
    return _run(*command, home=asked.folder.resolve() / "state", drops=clinic_folder(asked))


def _run(*command: str, home: Path | None = None, drops: Path | None = None) -> str:
    """Run ``pmlm`` with its progress shown; return what it prints."""
    given = {"PMLM_HOME": home, "PMLM_DROPS": drops}
    environment = {**os.environ, **{name: str(path) for name, path in given.items() if path}}
    done = subprocess.run(
        [sys.executable, "-m", "pmlm.cli.main", *command],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def _time(step: Callable[[], object]) -> float:
    started = time.monotonic()
    step()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
