"""Write the papers of a release into its folder, before it is signed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bentos.personalizer.release import REFINER, Release
from models.refiner import checkpoint
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import open_encoder
from pipelines.packaging.papers import cards, evaluation_report
from pipelines.packaging.papers.bill_of_materials import build_bill
from pipelines.packaging.papers.fixed_cases import compare_prompts, write_prompts
from pipelines.packaging.papers.source_attributes import build_attributes
from pipelines.runs import summary_path
from pmlm.settings import Settings
from pmlm.storage import read_json, write_bytes, write_json

PROMPTS, DIFFERENCES, VERDICT = "prompts.json", "prompt_differences.json", "verdict.json"
EVALUATION, DRIFT = "evaluation.json", "drift.json"
NOT_JUDGED = {"decision": "hold", "why": "no gate has judged a challenger", "look": 0}


def write_papers(
    settings: Settings, release: Release, folder: Path, former: Path | None, requirements: Sequence[str]
) -> None:
    """Write all papers of the release in ``folder``.

    ``former`` is the release that is served before it, ``requirements`` are the lines of the lock that serve it.
    """
    verdict = _read(settings.metrics / "gate.json", NOT_JUDGED)
    evaluated = _read(settings.metrics / "evaluation.json", {"rows": [], "why": "there is no evaluation"})
    counts = _read(summary_path(settings, release.night, "episodes"), {"figures": {}})["figures"]
    prompts = _write_prompts(settings, folder)
    before = _read(former / PROMPTS, None) if former else None
    write_json(folder / PROMPTS, prompts)
    write_json(folder / DIFFERENCES, {
        "former": former.resolve().name if former else None,
        "cases": len(prompts),
        "differences": compare_prompts(before, prompts) if before else [],
    })  # fmt: skip
    write_json(folder / VERDICT, verdict)
    write_json(folder / EVALUATION, evaluated)
    write_json(folder / DRIFT, _find_drift(settings, release.night))
    _write_text(folder / "evaluation.md", evaluation_report.render_evaluation(evaluated, verdict))
    write_bytes(folder / evaluation_report.PLOT, evaluation_report.draw_forest(evaluated))
    card = (folder / REFINER / checkpoint.CARD).read_text()
    _write_text(folder / "model_card.md", cards.render_model_card(release, settings.clinic, card, verdict))
    _write_text(folder / "data_card.md", cards.render_data_card(release, counts, settings.manifest.synthetic))
    write_json(folder / "bom.cdx.json", build_bill(release, folder, requirements))
    write_json(
        folder / "source_attributes.json", build_attributes(_state(settings, release, evaluated, verdict, counts))
    )


def _write_prompts(settings: Settings, folder: Path) -> dict[str, dict[str, Any]]:
    with deterministic_torch(), open_encoder(settings) as encoder:
        try:
            refiner = checkpoint.load_refiner(folder / REFINER, encoder)
        except checkpoint.OutdatedCheckpointError:  # of an earlier version, which the next night replaces
            return {}
        return write_prompts(refiner, encoder)


def _find_drift(settings: Settings, night: str) -> dict[str, Any]:
    """Where tonight's report is, and the verdicts of the last night that was judged."""
    reports = settings.reports / "drift"
    last = max((path for path in reports.glob("*.json") if path.stem <= night), default=None, key=lambda p: p.stem)
    verdicts = {name: family["verdict"] for name, family in read_json(last).items()} if last else {}
    return {
        "report": f"reports/drift/{night}.html",
        "last_judged": {"night": last.stem if last else None, "verdicts": verdicts},
    }


def _state(
    settings: Settings, release: Release, evaluated: dict[str, Any], verdict: dict[str, Any], counts: dict[str, Any]
) -> dict[str, str]:
    """What differs by release in the source attributes."""
    rows = {row["name"]: row for row in evaluated["rows"] if row["split"] == "test"}
    gained, slices = rows.get("reward_refined_vs_initial"), verdict.get("slices", ())
    worse = [one["slice"] for one in slices if one["worse"]]
    trained, patients = counts.get("train", "–"), counts.get("patients", "–")
    validity = fairness = "Not measured for this release."
    if gained:
        measured = f"{gained['value']:+.3f} nats, {gained['n']} questions of {gained['patients']} patients"
        validity = f"Whole reward against the initial prompt: {measured} (evaluation.md)."
    if slices:
        fairness = f"Of {len(slices)} slices, significantly worse: {', '.join(worse) or 'none'} (evaluation.md)."
    return {
        "release": release.version,
        "clinic": settings.clinic,
        "night": release.night,
        "plan": verdict.get("plan") or "none valid",
        "tokens": str(release.params.get("train", {}).get("token_cap", "–")),
        "episodes": f"Questions with a clinician's reply: {trained} to train on, of {patients} patients in all splits.",
        "validity": validity,
        "fairness": fairness,
    }


def _read(path: Path, otherwise: Any) -> Any:
    return read_json(path) if path.exists() else otherwise


def _write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())
