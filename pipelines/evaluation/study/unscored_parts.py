"""List the parts of the table that need no language model."""

from __future__ import annotations

from datetime import datetime

from pipelines import splits
from pipelines.embedding_cache import open_encoder
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import page
from pipelines.evaluation.study.rows import (
    change_detection,
    night_cost,
    peers,
    prediction,
    preferences,
    training_health,
)
from pipelines.evaluation.study.selection import StudyPart
from pipelines.features.trajectory import sequences
from pipelines.params import load_params
from pmlm.settings import Settings


def list_parts(settings: Settings, seeds: int, quick: bool) -> list[StudyPart]:
    """List the parts; ``quick`` leaves out the cost of a night by the number of patients."""
    now, records = settings.now(), ("events",)
    parts = [
        StudyPart("changes", frozenset({3}), ("change_*",), (), lambda: change_detection.build_rows(seeds)),
        StudyPart("preferences", frozenset({12}), ("preference_*",), (), lambda: preferences.build_rows(seeds)),
        StudyPart("predictions", frozenset({2}), ("next_*",), records, lambda: _prediction_rows(settings, now, seeds)),
        StudyPart("peers", frozenset({4}), ("peer_error_*", "peers_*", "peer_coverage_*"), records,
                  lambda: peers.build_rows(settings, _split_params(settings), now)),
        StudyPart("training", frozenset({13}), ("training_*",), ("episodes", "training"),
                  lambda: training_health.build_rows(settings)),
    ]  # fmt: skip
    cost = StudyPart(
        "night cost", frozenset({13}), ("cost_features_*",), records, lambda: night_cost.build_rows(settings)
    )
    return parts if quick else [*parts, cost]


def _split_params(settings: Settings) -> splits.SplitParams:
    return load_params(settings).episodes.split


def _prediction_rows(settings: Settings, now: datetime, seeds: int) -> list[MetricRow]:
    """Row 2: train on training patients before the time cut, measure on test patients after."""
    shares = _split_params(settings)
    with open_encoder(settings) as encode:
        read = sequences.select_training_records(sequences.read_events(settings, now), shares, encode)
    if read is None:
        return []
    test = [
        (r, read.start[r.subject_id])
        for r in read.everybody
        if splits.assign_patient(r.subject_id, shares) == splits.TEST
    ]
    epochs = load_params(settings).trajectory.epochs  # the night's
    return prediction.build_rows(read.train, test, page.page_folder(settings), seeds, epochs)
