"""Add a feature group: weight gain, as one expression and one view.

A group is one file in ``feature_repo/groups/``, such as this one. Run as a script, it builds the group for a clinic of
one patient and prints its value as of three times: the corrected weight of 1 March counts only once it is known.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import FeatureView, Field, FileSource
from feast.types import Float64
from ibis.expr.types import Table

from feature_repo import groups
from feature_repo.entities import subject
from feature_repo.point_in_time import KEY, join_to_moments, select_known
from pipelines.features.build import historical_rows, stage
from pipelines.records import stage as records
from pmlm.settings import Settings

NAME = "weight_gain"


def expression(events: Table, moments: Table) -> Table:
    """Newest known weight minus the first one, at each as-of time."""
    weights = select_known(events.filter(events.code == "LOINC//29463-7"), moments, "observation")
    first, newest = weights.numeric_value.argmin(weights.place), weights.numeric_value.argmax(weights.place)
    return join_to_moments(moments, weights.group_by(*KEY).aggregate(weight_gain=(newest - first).cast("float64")))


source = FileSource(
    name=NAME,
    path=f"data/features/{NAME}/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)
schema = [Field(name=NAME, dtype=Float64, tags={"unit": "kg"}, description="newest weight minus the first one")]
view = FeatureView(name=NAME, entities=[subject], ttl=timedelta(0), schema=schema, source=source)


def write_drop(folder: Path, weights: dict[str, float]) -> None:
    """Write a patient and weights by day as FHIR; a day written again is a correction."""
    code = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    unit = {"unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    lines = [{"resourceType": "Patient", "id": "ann", "gender": "female", "birthDate": "1990-01-01"}]
    for day, weight in weights.items():
        reading = {"effectiveDateTime": f"{day}T09:00:00Z", "valueQuantity": {"value": weight, **unit}}
        about = {"id": day, "status": "final", "code": code, "subject": {"reference": "Patient/ann"}}
        lines.append({"resourceType": "Observation", **about, **reading})
    folder.mkdir(parents=True)
    (folder / "records.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as home:
        (added := Path(home) / "groups").mkdir()
        shutil.copy(__file__, added / f"{NAME}.py")
        groups.__path__.append(str(added))  # stands for a copy of this file in feature_repo/groups/
        settings = Settings(home=Path(home) / "state", drops=Path(home) / "drops", key_dir=Path(home) / "keys")
        write_drop(settings.drops / "2026-03-01", {"2026-02-01": 60.0, "2026-03-01": 62.0})
        write_drop(settings.drops / "2026-03-02", {"2026-03-01": 61.5})
        for night in ("20260301", "20260302"):
            records.run(settings, night)
            stage.run(settings, night)
        times = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((2, 10), (3, 2), (3, 3))]
        asked = pd.DataFrame({"subject_id": settings.subject_id("Patient/ann"), "event_timestamp": times})
        for row in historical_rows.read_rows(settings, asked).to_dict("records"):
            print(f"as of {row['event_timestamp']:%Y-%m-%d %H:%M}  {NAME} {row[NAME]:+.1f} kg")


if __name__ == "__main__":
    main()
