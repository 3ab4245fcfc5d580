"""Records to features: any order within a drop, any replay of drops and any late drop give the same features."""

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
    observation,
    patient,
    question,
    rating,
    reply,
    without,
)

DAYS = ("2026-06-01", "2026-06-02", "2026-06-03", "2026-06-04")
WOMEN = ("ana", "eve", "ida")


def drops(random: Random) -> dict[str, list[Resource]]:
    """Four days' records: facts told once or several times, in other words each time, of one patient or another."""
    told: dict[str, list[Resource]] = {day: [] for day in DAYS}
    told[DAYS[0]] = [patient(woman) for woman in WOMEN]
    for number in range(28):
        subject = {"reference": f"Patient/{random.choice(WOMEN)}"}
        for day in sorted(random.sample(DAYS, random.choice((1, 1, 2, 3)))):
            told[day].append(_version(random, number, day) | {"subject": subject})
    for number, day in enumerate(DAYS):
        told[day].append(allergy(f"a{random.randrange(2)}", recordedDate=f"2015-01-0{number + 1}"))
    return told


def _version(random: Random, number: int, day: str) -> Resource:
    """A fact as a day tells it: no two days tell it alike (of an equal repetition the log keeps no trace)."""
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


def features_of(folder: Path, told: dict[str, list[Resource]], order: list[str], random: Random) -> dict[str, Any]:
    """Each group's newest row of each patient after the drops were taken in in that order, lines in any order."""
    home = folder / "clinic"
    home.mkdir(parents=True)
    (home / "clinic.yaml").write_text("name: replays\nclock: last_drop\nhash_key: fixed\n")
    clinic = Clinic(Settings(home=folder / "state", drops=home, key_dir=folder / "keys"))
    for day in order:
        lines = random.sample(told[day], len(told[day]))
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
    told = drops(random)
    first, second, third, fourth = DAYS
    orders = {"in order": list(DAYS), "late ones, and some again": [first, fourth, third, second, third, first]}
    found = {name: features_of(tmp_path / name, told, order, random) for name, order in orders.items()}
    assert any(row["weight_latest"] for row in found["in order"]["vitals"])
    for name in orders:
        assert found[name] == found["in order"], name
