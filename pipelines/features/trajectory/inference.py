"""What the trajectory model says of each patient at each moment, from what was known then.

A patient's rows depend on her own events and the model alone (``models.patient.forecaster.forecast_states``), so that a row
is the same in a night's increment and in a build from scratch.
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
from pipelines.embedding_cache import encoder
from pipelines.features.trajectory import sequences
from pipelines.features.trajectory.rows import SCHEMA
from pmlm.settings import Settings

LAST_SOURCES = 5
#: How many threads torch has is one number of the process.
_THREADS_LOCK = Lock()


def compute_rows(settings: Settings, connection: Any, forecaster: Forecaster, moments: pl.DataFrame) -> pa.Table:
    """One row a moment (sorted by ``KEY``), from the versions that ``connection`` holds."""
    found = select_versions(connection.table("held"), connection.table("moments"))
    held = pl.DataFrame(found.to_pyarrow()).sort("subject_id", "second", "code", "source")
    with _THREADS_LOCK, encoder(settings) as encode:
        return predict_rows(forecaster, held, moments, encode)


def select_versions(held: Table, moments: Table) -> Table:
    """The versions of the patients' events that the model reads, on whichever engine; times in whole seconds."""
    wanted = held.kind.isin([*sequences.VISIT_KINDS, "question"]) | (held.code == BIRTH_CODE)
    theirs = held.filter(wanted).semi_join(moments, "subject_id")
    seconds = {"second": "time", "since": "visible_from", "until": "visible_until"}
    columns = ["subject_id", "kind", "code", "numeric_value", "text_value", "source"]
    # integers before they leave the engine: Spark's way out is by pandas, whose times end in 2262
    return theirs.select(*columns, **{name: point_in_time.to_seconds(theirs[of]) for name, of in seconds.items()})


def predict_rows(forecaster: Forecaster, held: pl.DataFrame, moments: pl.DataFrame, encode: Encoder) -> pa.Table:
    """One row a moment (sorted by ``KEY``) from the versions ``held``: ``since <= moment < until``, in seconds."""
    coded = held.with_columns(
        read=pl.Series(sequences.encode_events(held, forecaster.centres, encode), dtype=pl.String)
    )
    of_subject = {int(s): rows for (s,), rows in coded.group_by("subject_id", maintain_order=True)}
    out: list[dict[str, Any]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last bits must not depend on how many
    try:
        for (subject,), asked in moments.group_by("subject_id", maintain_order=True):
            hers = of_subject.get(int(subject))
            if hers is None:
                hers = coded.clear()
            out += _predict_patient(forecaster, int(subject), hers, asked["event_timestamp"].to_list())
    finally:
        torch.set_num_threads(threads)
    return pa.Table.from_pylist(out, schema=SCHEMA)


def _predict_patient(
    forecaster: Forecaster, subject: int, hers: pl.DataFrame, asked: list[Any]
) -> list[dict[str, Any]]:
    """One patient's rows, in the order asked."""
    since, until, second = (hers[name].to_numpy() for name in ("since", "until", "second"))
    read, source = np.array(hers["read"].to_list(), dtype=object), hers["source"].to_list()
    born = (hers["code"] == BIRTH_CODE).to_numpy()
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
    said = forecast_states(forecaster, [record for _, record, _, _ in states])
    for (row, record, birth, chosen), outlook in zip(states, said, strict=True):
        row |= _to_columns(outlook, record, birth, chosen, second, source)
    return out


def _to_columns(
    said: VisitForecast, record: PatientDays, birth: int, chosen: list[int], second: np.ndarray, source: list[str]
) -> dict[str, Any]:
    start = birth + int(record.days[-1]) * 86_400
    behind = sorted({source[i] for i in chosen if second[i] >= start})[:LAST_SOURCES]
    return {
        "trajectory_embedding": list(said.embedding),
        "next_visit_events": list(said.codes),
        "next_visit_chances": list(said.chances),
        "next_visit_rates": list(said.rates),
        "visit_surprise": said.surprise,
        "trajectory_sources": behind,
        "trajectory_time": int(max(second[i] for i in chosen)) * 1_000_000,
    }
