"""Stage ``trajectory``: train the forecaster if there is none, it is old, or codes drift.

It trains on training patients' days before the cut in time alone (``pipelines.splits``). Otherwise the model in use
stays: a new one changes every embedding, so the feature build computes all its rows again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from models.patient.forecaster import train_forecaster
from pipelines import tombstones
from pipelines.embedding_cache import open_encoder
from pipelines.features.trajectory import model_store, sequences
from pipelines.night_dates import end_of_night, parse_night
from pipelines.params import Params, TrajectoryParams, load_params
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import hash_files

FEWEST_PATIENTS = 8
RECENT = timedelta(days=30)
FEWEST_EVENTS = 50


def run(settings: Settings, night: str) -> StageSummary:
    """Bring ``models/trajectory`` up to the night.

    ``done`` has trained a model, ``noop`` leaves the one in use, ``hold`` has too few records. Rows in are events
    read, rows out the training patients' days; both 0 for ``noop``.
    """
    with stage_run(settings, night, "trajectory") as summary:
        params = load_params(settings)
        found = sequences.read_events(settings, end_of_night(night))
        why = explain_due(model_store.read_manifest(settings), night, found, params.trajectory)
        if tombstones.has_learnt(settings, model_store.read_version(settings)):
            why = "a patient from whom the model had learnt was erased"
        if why:
            _train(settings, night, found, params, summary)
            summary.detail = summary.detail or why
        else:
            summary.status, summary.detail = "noop", f"model of {model_store.read_manifest(settings)['night']} kept"
        summary.hashes = {"trajectory": hash_files([model_store.model_folder(settings)])}
    return summary


def explain_due(manifest: dict[str, Any], night: str, found: pl.DataFrame, params: TrajectoryParams) -> str:
    """Explain why to train tonight, by the manifest of the model in use; else empty."""
    if manifest.get("version") is None:
        return "there was no model"
    age = (parse_night(night) - parse_night(manifest["night"])).days
    if age >= params.every_nights:
        return f"the model was {age} nights old"
    if age > 0:
        unknown = measure_unknown_share(found, set(manifest["codes"]), night)
        if unknown > manifest["strangers"] + params.strangers:
            return "drift: many recent records are of codes that the model does not know"
    return ""


def measure_unknown_share(found: pl.DataFrame, codes: set[str], night: str) -> float:
    """Measure the share of the last month's records of other codes; 0 with few records."""
    recent = found.filter(
        pl.col("kind").is_in(sequences.VISIT_KINDS),
        pl.col("time").is_between(end_of_night(night) - RECENT, end_of_night(night)),
    )
    if len(recent) < FEWEST_EVENTS:
        return 0.0
    return 1 - float(recent["code"].is_in(sorted(codes)).mean() or 0.0)  # type: ignore[arg-type]


def _train(settings: Settings, night: str, found: pl.DataFrame, params: Params, summary: StageSummary) -> None:
    from pipelines.determinism import deterministic_torch

    model = None
    with deterministic_torch(), open_encoder(settings) as encode:
        records = sequences.select_training_records(found, params.episodes.split, encode)
        if records is not None and len(records.train) >= FEWEST_PATIENTS:
            model = train_forecaster(records.train, records.centres, params.trajectory.epochs)
    if model is None or records is None:
        if model_store.read_version(settings) is None:
            model_store.install_model(settings, None, {"night": night})
        summary.status, summary.detail = "hold", "too few training patients' records for a trajectory model"
        return
    codes = sorted(set(found.filter(pl.col("kind").is_in(sequences.VISIT_KINDS))["code"].to_list()))
    figures = {"patients": len(records.train), "days": sum(len(r.days) for r in records.train)}
    unknown = measure_unknown_share(found, set(codes), night)
    model_store.install_model(settings, model, {"night": night, "codes": codes, "strangers": unknown, **figures})
    summary.rows_in, summary.rows_out = len(found), figures["days"]
    summary.figures = {"version": model.version, "said": len(model.trusted), **figures}
