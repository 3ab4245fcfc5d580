"""List patients that can be asked about, those with most changes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import polars as pl

from feature_repo.store.rows import cast_row
from feature_repo.store.services import find_groups
from models.patient.change_detection import OUTSIDE_Z
from models.prompt.candidates import build_candidates
from models.schema import Segment
from pipelines.features.build import historical_rows
from pipelines.features.engines import feature_files
from pmlm.errors import FeaturesError
from pmlm.settings import Settings

#: Patients whose rows are read; of a larger clinic every n-th by pseudonym, which are hashes in no meaningful order.
MOST_READ = 500
SHOWN_REASONS = 2


@dataclass(frozen=True, slots=True)
class ListedPatient:
    """A patient by pseudonym, with the sentence on pregnancy; ``why`` are unusual changes and drug allergies."""

    patient: str
    pregnancy: str
    why: tuple[str, ...]


def list_patients(settings: Settings, search: str = "") -> list[ListedPatient]:
    """List patients whose sentences contain ``search``, those with most changes and an allergy first.

    ``FeaturesError`` before the first build.
    """
    listed = (_describe_patient(subject, segments) for subject, segments in _read_candidates(settings, search.lower()))
    return sorted(listed, key=lambda p: (-len(p.why), p.patient))


def _read_candidates(settings: Settings, search: str) -> Iterator[tuple[int, tuple[Segment, ...]]]:
    now = settings.now()
    for row in _read_newest_rows(settings).to_dict("records"):
        if row["as_of"] is None:
            continue
        segments = build_candidates(cast_row(row), now, len, rule=settings.currency_rule)
        if any(search in s.text.lower() for s in segments):
            yield row["subject_id"], segments


def _read_newest_rows(settings: Settings) -> pd.DataFrame:
    if not any(settings.features.glob("*/*.parquet")):
        raise FeaturesError("no features yet: run `pmlm night`")
    rows = feature_files.scan_rows(settings.features / next(iter(find_groups())))
    every = rows.select(pl.col("subject_id").unique().sort()).collect()["subject_id"].to_list()
    chosen = every[:: max(1, -(-len(every) // MOST_READ))]
    asked = pd.DataFrame({"subject_id": chosen, "event_timestamp": pd.Timestamp(settings.now())})
    return historical_rows.read_rows(settings, asked)


def _describe_patient(subject: int, segments: tuple[Segment, ...]) -> ListedPatient:
    pregnancy = next((s.text for s in segments if s.key == "pregnancy"), "")
    changed = (s for s in segments if s.kind == "change" and abs(s.change) > OUTSIDE_Z)
    changes = sorted(changed, key=lambda s: (-abs(s.change), s.key))
    allergies = [s for s in segments if s.key == "allergies" and s.sources]
    return ListedPatient(f"subject:{subject}", pregnancy, tuple(s.text for s in (*changes, *allergies)))
