"""Predict each patient's next visit as of each moment, by the trajectory model.

A patient's rows depend on the patient's events and the model alone (``models.patient.forecaster.forecast_states``),
so a row is the same in a night's increment and in a build from the beginning.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from ibis.expr.types import Table

from feature_repo import point_in_time
from feature_repo.point_in_time import KEY
from models.encoder import Encoder
from models.patient.forecaster import Forecaster, VisitForecast, forecast_states
from models.patient.trajectory import PatientDays
from models.vocabulary import BIRTH_CODE
from pipelines.embedding_cache import open_encoder
from pipelines.features.engines.engine import Engine, Rows
from pipelines.features.engines.query import MOMENTS, VERSIONS
from pipelines.features.trajectory import model_store, sequences
from pipelines.features.trajectory.rows import SCHEMA
from pmlm.settings import Settings

LAST_SOURCES = 5
#: torch's number of threads belongs to the process.
_THREADS_LOCK = Lock()


def compute_rows(settings: Settings, engine: Engine, connection: Any) -> Rows:
    """Predict a row per as-of time of the connection from its record versions."""
    moments = connection.table(MOMENTS)
    versions = select_versions(connection.table(VERSIONS), moments)

    # Spark reads what a function takes from its annotations, which a partial has not
    def predict(versions: pa.Table, moments: pa.Table) -> pa.Table:
        return predict_group(settings, versions, moments)

    return engine.map_patients(connection, [versions, moments], predict, SCHEMA)


def predict_group(settings: Settings, versions: pa.Table, moments: pa.Table) -> pa.Table:
    """Predict rows of some patients; Spark calls it in processes of its own, each of which loads the model once."""
    forecaster = model_store.load_model(settings)
    if forecaster is None or not moments.num_rows:
        return SCHEMA.empty_table()
    found = pl.DataFrame(versions).sort("subject_id", "second", "code", "source")
    with _THREADS_LOCK, open_encoder(settings) as encode:
        return predict_rows(forecaster, found, pl.DataFrame(moments).select(*KEY).sort(*KEY), encode)


def select_versions(versions: Table, moments: Table) -> Table:
    """Select the patients' record versions that the model reads, with times in whole seconds."""
    wanted = versions.kind.isin([*sequences.VISIT_KINDS, "question"]) | (versions.code == BIRTH_CODE)
    read = versions.filter(wanted).semi_join(moments, "subject_id")
    seconds = {"second": "time", "since": "visible_from", "until": "visible_until"}
    columns = ["subject_id", "kind", "code", "numeric_value", "text_value", "source"]
    # integers before they leave the engine: Spark exports by pandas, whose times end in 2262
    return read.select(*columns, **{name: point_in_time.to_seconds(read[of]) for name, of in seconds.items()})


def predict_rows(forecaster: Forecaster, versions: pl.DataFrame, moments: pl.DataFrame, encode: Encoder) -> pa.Table:
    """Predict a row per moment (sorted by ``KEY``).

    A version is valid at a moment if ``since <= moment < until``, in seconds.
    """
    coded = versions.with_columns(
        read=pl.Series(sequences.encode_events(versions, forecaster.centres, encode), dtype=pl.String)
    )
    of_subject = {int(s): rows for (s,), rows in coded.group_by("subject_id", maintain_order=True)}
    out: list[dict[str, Any]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last bits depend on their number
    try:
        for (subject,), asked in moments.group_by("subject_id", maintain_order=True):
            events = of_subject.get(int(subject))
            if events is None:
                events = coded.clear()
            out += _predict_patient(forecaster, int(subject), events, asked["event_timestamp"].to_list())
    finally:
        torch.set_num_threads(threads)
    return pa.Table.from_pylist(out, schema=SCHEMA)


def _predict_patient(
    forecaster: Forecaster, subject: int, events: pl.DataFrame, asked: list[Any]
) -> list[dict[str, Any]]:
    """Predict one patient's rows, in the order of ``asked``."""
    since, until, second = (events[name].to_numpy() for name in ("since", "until", "second"))
    read, source = np.array(events["read"].to_list(), dtype=object), events["source"].to_list()
    born = (events["code"] == BIRTH_CODE).to_numpy()
    out: list[dict[str, Any]] = []
    states: list[tuple[dict[str, Any], PatientDays, int, list[int]]] = []
    for moment in asked:
        at = int(moment.timestamp())
        known = np.flatnonzero((since <= at) & (at < until) & (second <= at))
        births = second[known[born[known]]]
        chosen = [i for i in known.tolist() if read[i] is not None]
        record = (
            sequences.build_record(subject, int(births[0]), second[chosen], list(read[chosen])) if len(births) else None
        )
        out.append({KEY[0]: subject, KEY[1]: moment, "model_version": forecaster.version})
        if record is not None:
            states.append((out[-1], record, int(births[0]), chosen))
    forecasts = forecast_states(forecaster, [record for _, record, _, _ in states])
    for (row, record, birth, chosen), forecast in zip(states, forecasts, strict=True):
        row |= _to_columns(forecast, record, birth, chosen, second, source)
    return out


def _to_columns(
    forecast: VisitForecast, record: PatientDays, birth: int, chosen: list[int], second: np.ndarray, source: list[str]
) -> dict[str, Any]:
    start = birth + int(record.days[-1]) * point_in_time.DAY
    sources = sorted({source[i] for i in chosen if second[i] >= start})[:LAST_SOURCES]
    return {
        "trajectory_embedding": list(forecast.embedding),
        "next_visit_events": list(forecast.codes),
        "next_visit_chances": list(forecast.chances),
        "next_visit_rates": list(forecast.rates),
        "visit_surprise": forecast.surprise,
        "trajectory_sources": sources,
        "trajectory_time": int(max(second[i] for i in chosen)) * 1_000_000,
    }
