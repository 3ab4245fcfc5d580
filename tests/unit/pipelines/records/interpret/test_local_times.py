"""A clinic's day ends at its own midnight; an evening's value belongs to that night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.records.interpret.local_times import fold_times
from pipelines.records.read.fhir_time import parse_time, to_micros
from pmlm.cli.features import parse_moment
from pmlm.settings import Manifest, Settings
from tests.unit.pipelines.records.fhir import FIRST, Clinic, observation, patient

END = datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)


def test_an_evenings_value_is_of_its_day_without_a_time_zone_too(clinic: Clinic) -> None:
    values = [
        observation("a", value=61.0, effectiveDateTime="2026-06-01T18:30:00-07:00"),
        observation("b", value=62.0, effectiveDateTime="2026-06-01T22:45:00-07:00"),
        observation("c", value=60.0, effectiveDateTime="2026-06-01T08:00:00-07:00"),
    ]
    assert clinic.drop(FIRST, patient(), *values).quarantined == 0

    found = clinic.events("observation").sort("time")
    assert found["numeric_value"].to_list() == [60.0, 61.0, 62.0]
    assert found["time"].max() <= END


def test_tomorrow_is_still_in_the_future(clinic: Clinic) -> None:
    tomorrow = observation("a", effectiveDateTime="2026-06-02T18:30:00-07:00")

    assert clinic.drop(FIRST, patient(), tomorrow).by_rule == {"future_date": 1}


def test_in_a_time_zone_times_are_the_clinics_own(clinic: Clinic) -> None:
    (clinic.settings.drops / "clinic.yaml").write_text(
        "name: testing\nclock: last_drop\ntimezone: America/Los_Angeles\n"
    )
    here = Clinic(Settings(home=clinic.settings.home, drops=clinic.settings.drops, key_dir=clinic.settings.key_dir))
    dated = observation("e", "11778-8") | {"valueDateTime": "2026-08-05T00:00:00+02:00"}
    dated.pop("valueQuantity")
    here.drop(FIRST, patient(), observation("a", effectiveDateTime="2026-06-02T01:30:00Z"), dated)

    found = here.events("observation")
    weight = found.filter(pl.col("numeric_value").is_not_null())
    assert weight["time"].to_list() == [datetime(2026, 6, 1, 18, 30, tzinfo=UTC)]
    assert [text[:10] for text in found["text_value"].drop_nulls()] == ["2026-08-05"]
    assert here.settings.now() == END


@pytest.mark.parametrize(
    ("zone", "text", "clinics"),
    [
        ("America/Los_Angeles", "2026-06-02T01:30:00Z", "2026-06-01T18:30:00"),
        ("America/Los_Angeles", "2026-06-01T23:30:00-07:00", "2026-06-01T23:30:00"),
        ("Pacific/Auckland", "2026-06-01T13:00:00+00:00", "2026-06-02T01:00:00"),
        ("UTC", "2026-06-01T23:30:00-07:00", "2026-06-02T06:30:00"),
    ],
)
def test_a_moment_that_is_asked_for_is_the_clinics_own_like_every_time_in_the_log(
    tmp_path: Path, zone: str, text: str, clinics: str
) -> None:
    (tmp_path / "clinic.yaml").write_text(f"name: testing\ntimezone: {zone}\n")
    settings = Settings(home=tmp_path / "state", drops=tmp_path, key_dir=tmp_path / "keys")

    wanted = datetime.fromisoformat(clinics).replace(tzinfo=UTC)
    assert settings.localize(datetime.fromisoformat(text)) == wanted
    assert parse_moment(settings, text) == wanted
    assert parse_moment(settings, clinics) == wanted
    assert parse_moment(settings, clinics[:10]) == wanted.replace(hour=23, minute=59, second=59)


def test_an_unknown_time_zone_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="Mars/Olympus"):
        Manifest(timezone="Mars/Olympus")


@given(hours=st.lists(st.floats(0.001, 13.9), min_size=2, max_size=5), offset=st.integers(-12, 14))
def test_folded_times_keep_their_order_and_end_with_the_day(hours: list[float], offset: int) -> None:
    zone = timezone(timedelta(hours=offset))
    times = [(END + timedelta(hours=h)).astimezone(zone).isoformat() for h in sorted(hours)]
    folded = [parse_time(fold_times({"issued": text}, to_micros(END))["issued"]) or 0 for text in times]
    assert folded == sorted(folded)
    for text, at in zip(times, folded, strict=True):
        assert (at <= to_micros(END)) == (text[:10] <= "2026-06-01")
