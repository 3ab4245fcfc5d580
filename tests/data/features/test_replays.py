"""Any order within a drop, replay of drops and late drop give the same features."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from feature_repo.store.services import find_groups
from pipelines.features.build import stage
from pipelines.records.stage import run as take_in_night
from pmlm.settings import Settings
from tests.unit.pipelines.records.fhir import (
    Clinic,
    Resource,
    allergy,
    condition,
    encounter,
    medication_request,
    no_data_docs,
    observation,
    patient,
    question,
    rating,
    reply,
    without,
)

__all__ = ["no_data_docs"]

DAYS = ("2026-06-01", "2026-06-02", "2026-06-03", "2026-06-04")
PATIENTS = ("ana", "eve", "ida")


def drops(random: Random) -> dict[str, list[Resource]]:
    """Make four days of records, facts with one or several versions each."""
    by_day: dict[str, list[Resource]] = {day: [] for day in DAYS}
    by_day[DAYS[0]] = [patient(patient_name) for patient_name in PATIENTS]
    for number in range(28):
        subject = {"reference": f"Patient/{random.choice(PATIENTS)}"}
        for day in sorted(random.sample(DAYS, random.choice((1, 1, 2, 3)))):
            by_day[day].append(_version(random, number, day) | {"subject": subject})
    for number, day in enumerate(DAYS):
        by_day[day].append(allergy(f"a{random.randrange(2)}", recordedDate=f"2015-01-0{number + 1}"))
    return by_day


def _version(random: Random, number: int, day: str) -> Resource:
    """Make a day's version of a fact; no two are equal, since repetitions are dropped."""
    at = f"{day}T0{random.randrange(1, 9)}:00:00Z"
    value = round(random.uniform(55, 80), 1)
    kinds: list[Resource] = [
        observation(f"w{number}", value=value, effectiveDateTime=at),
        observation(f"h{number}", "718-7", value / 6, "g/dL", effectiveDateTime=at),
        condition(
            f"c{number}",
            onsetDateTime=f"2026-04-{day[-2:]}",
            **random.choice(({}, {"abatementDateTime": "2026-05-30"})),
        ),
        medication_request(f"m{number}", authoredOn=at, status=random.choice(("active", "stopped"))),
        encounter(f"e{number}", period={"start": at, "end": at}),
        question(f"q{number}", "May I fly?", sent=at),
        without(reply(f"r{number}", f"q{number}", "word " * random.choice((3, 60)), sent=at), "sender"),
        rating(f"s{number}", f"r{number % 6}", random.randrange(1, 6)) | {"effectiveDateTime": at},
    ]
    return kinds[number % len(kinds)]


def features_of(folder: Path, by_day: dict[str, list[Resource]], order: list[str], random: Random) -> dict[str, Any]:
    """Return each patient's newest rows after drops in this order, lines in any order."""
    home = folder / "clinic"
    home.mkdir(parents=True)
    (home / "clinic.yaml").write_text("name: replays\nclock: last_drop\nhash_key: fixed\n")
    clinic = Clinic(Settings(home=folder / "state", drops=home, key_dir=folder / "keys"))
    for day in order:
        lines = random.sample(by_day[day], len(by_day[day]))
        cut = random.randrange(len(lines) + 1)
        clinic.put(day, "a.ndjson", lines[:cut])
        clinic.put(day, "b/rest.ndjson.gz", lines[cut:])
        night = day.replace("-", "")
        take_in_night(clinic.settings, night)
    stage.run(clinic.settings, DAYS[-1].replace("-", ""))
    return {name: _newest(clinic.settings, name) for name in find_groups() if name != "peers"}


def _newest(settings: Settings, group: str) -> list[dict[str, Any]]:
    rows = pl.read_parquet(settings.features / group / "*.parquet").sort("event_timestamp", "created_timestamp")
    last = rows.group_by("subject_id", maintain_order=True).last().sort("subject_id")
    # when a row was made, and of when it is, do depend on when the clinic got to know
    return last.drop("event_timestamp", "created_timestamp", "as_of", strict=False).to_dicts()


@pytest.mark.parametrize("seed", range(2))
def test_order_within_a_drop_replays_and_late_drops_change_no_feature(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    by_day = drops(random)
    first, second, third, fourth = DAYS
    orders = {"in order": list(DAYS), "late ones, and some again": [first, fourth, third, second, third, first]}
    found = {name: features_of(tmp_path / name, by_day, order, random) for name, order in orders.items()}
    assert any(row["weight_latest"] for row in found["in order"]["vitals"])
    for name in orders:
        assert found[name] == found["in order"], name
