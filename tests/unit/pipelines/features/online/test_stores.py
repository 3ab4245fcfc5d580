"""Feast offline, Feast online and the naive oracle agree, whatever arrived late."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from feature_repo.store import feast_store, online
from feature_repo.store.services import list_features
from models.schema import DELETED
from pipelines.features.build import historical_rows, stage
from pipelines.features.online import materialise
from pipelines.night_dates import end_of_night
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from tests.unit.pipelines.features import oracle
from tests.unit.pipelines.features.built import LAST, clinic, known_on, night_of, patients, write_batch
from tests.unit.pipelines.features.engine_rows import differences
from tests.unit.pipelines.features.histories import Event, day_ends

MIDDLE = night_of(5)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return patients(seed=21, pairs=12)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    """Two nights taken in, the second put online."""
    settings = clinic(tmp_path_factory.mktemp("stores"))
    for before, night in ((None, MIDDLE), (MIDDLE, LAST)):
        write_batch(settings, night, known_on(events, before, night))
        stage.run(settings, night)
        materialise.run(settings, night)
    return settings


def subjects_of(events: list[Event]) -> list[int]:
    return sorted({e["subject_id"] for e in events})


def ask(settings: Settings, asked: list[tuple[int, dt.datetime]]) -> list[dict]:
    entities = pd.DataFrame(asked, columns=["subject_id", "event_timestamp"])
    return historical_rows.read_rows(settings, entities).to_dict("records")


def pair_of(events: list[Event], subject: int) -> list[Event]:
    return [e for e in events if (e["subject_id"] + 1) // 2 == (subject + 1) // 2]


def test_offline_equals_the_oracle_at_every_moment_up_to_the_second(built: Settings, events: list[Event]) -> None:
    ends = day_ends()[1:-1]
    asked = [
        (s, end + later)
        for s in subjects_of(events)
        for end in ends
        for later in (dt.timedelta(0), dt.timedelta(hours=5))
    ]
    for (subject, moment), row in zip(asked, ask(built, asked), strict=True):
        that_day = max(end for end in day_ends() if end <= moment)
        expected = oracle.features(pair_of(events, subject), subject, that_day)
        if row["as_of"] is None:  # nothing known of the patient yet
            assert not oracle.state(pair_of(events, subject), subject, that_day)
        else:
            # between two changes the older row holds, and says of when it is
            assert differences(row, expected | {"as_of": row["as_of"]}) == {}
            assert row["as_of"] <= moment


def test_online_equals_offline_in_value_and_type(built: Settings, events: list[Event]) -> None:
    subjects = subjects_of(events)
    now = end_of_night(LAST)
    for subject, row in zip(subjects, ask(built, [(s, now) for s in subjects]), strict=True):
        served = online.read(built.feast, subject)
        assert served is not None
        assert {name: (type(v), v) for name, v in served.items()} == {
            name: (type(row[name]), row[name]) for name in served
        }
        assert set(served) == set(list_features())


def test_online_equals_the_oracle(built: Settings, events: list[Event]) -> None:
    for subject in subjects_of(events):
        served = online.read(built.feast, subject)
        assert served is not None
        expected = oracle.features(pair_of(events, subject), subject, end_of_night(LAST))
        assert differences(dict(served), expected | {"as_of": served["as_of"]}) == {}


def test_rows_come_in_the_order_asked_and_twice_where_asked_twice(built: Settings) -> None:
    late, early = end_of_night(LAST), end_of_night(MIDDLE)
    asked = [(2, late), (1, early), (2, late), (2, early)]
    rows = ask(built, asked)
    assert [(r["subject_id"], r["event_timestamp"]) for r in rows] == asked
    assert rows[0] == rows[2]


def test_a_patient_unknown_by_then_has_only_unknown_features(built: Settings) -> None:
    [row] = ask(built, [(999, end_of_night(LAST))])
    assert all(row[name] in (None, []) for name in list_features())


def test_an_unknown_patient_has_no_online_row(built: Settings) -> None:
    assert online.read(built.feast, 999) is None


def test_reading_before_anything_was_built_says_so(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    assert online.read(settings.feast, 1) is None
    with pytest.raises(FeaturesError, match="pmlm features build"):
        ask(settings, [(1, end_of_night(LAST))])


def test_a_late_batch_reaches_the_online_store(tmp_path: Path, events: list[Event]) -> None:
    """Feast's own incremental materialisation passes over rows older than its last run."""
    settings = clinic(tmp_path)
    late = [e for e in known_on(events, None, MIDDLE) if e["record"] % 2]
    in_time = [e for e in known_on(events, None, LAST) if e not in late]
    write_batch(settings, LAST, in_time)
    stage.run(settings, LAST)
    materialise.run(settings, LAST)
    write_batch(settings, MIDDLE, late)
    stage.run(settings, MIDDLE)
    materialise.run(settings, MIDDLE)
    for subject in subjects_of(events):
        served = online.read(settings.feast, subject)
        assert served is not None
        expected = oracle.features(pair_of(events, subject), subject, end_of_night(LAST))
        assert differences(dict(served), expected | {"as_of": served["as_of"]}) == {}


def test_the_last_value_of_a_group_that_is_deleted_is_served_no_more(tmp_path: Path) -> None:
    """Feast skips a batch in which every feature is unknown: the value before would stay."""
    settings = clinic(tmp_path)
    known = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    fact = {"subject_id": 1, "record": 7, "time": known, "known_at": known, "source": "told", "encounter_id": None}
    value = {"kind": "observation", "code": "LOINC//718-7", "numeric_value": 11.0, "text_value": None, "unit": "g/dL"}
    gone = {"kind": "deleted", "code": DELETED, "numeric_value": None, "text_value": None, "unit": None}
    later = {"known_at": end_of_night(LAST), "source": "taken back"}
    served = []
    for night, event in ((MIDDLE, fact | value), (LAST, fact | gone | later)):
        write_batch(settings, night, [event | {"parent": None}])
        stage.run(settings, night)
        materialise.run(settings, night)
        row = online.read(settings.feast, 1)
        assert row is not None
        served.append(row["haemoglobin_latest"])
    assert served == [11.0, None]


def test_materialising_twice_is_a_noop(built: Settings) -> None:
    before = (built.feast / "online.db").read_bytes()
    assert materialise.run(built, LAST).status == "noop"
    assert (built.feast / "online.db").read_bytes() == before


def test_what_a_killed_build_left_of_a_night_is_never_served(built: Settings) -> None:
    """A night's files are moved into place the first one last: a part without it is of a build that was killed."""
    left = built.features / "vitals" / f"{night_of(9)}-1.parquet"
    shutil.copyfile(built.features / "vitals" / f"{LAST}.parquet", left)
    assert materialise.run(built, LAST).status == "noop"
    assert not left.exists()


def test_a_store_that_was_opened_sees_the_next_night(tmp_path: Path, events: list[Event]) -> None:
    settings = clinic(tmp_path)
    seen = []
    for before, night in ((None, MIDDLE), (MIDDLE, LAST)):
        write_batch(settings, night, known_on(events, before, night))
        stage.run(settings, night)
        materialise.run(settings, night)
        row = online.read(settings.feast, 1)
        assert row is not None
        seen.append(row["as_of"])
    assert seen[0] <= end_of_night(MIDDLE) < seen[1]


def test_a_materialisation_that_dies_leaves_the_served_store_and_is_made_good(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = clinic(tmp_path)
    write_batch(settings, MIDDLE, known_on(events, None, MIDDLE))
    stage.run(settings, MIDDLE)
    materialise.run(settings, MIDDLE)
    served = online.read(settings.feast, 1)
    write_batch(settings, LAST, known_on(events, MIDDLE, LAST))
    stage.run(settings, LAST)
    with monkeypatch.context() as patch:
        latest_rows, calls = materialise._read_latest_rows, []

        def dying(*args: object) -> pd.DataFrame:
            calls.append(args)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return latest_rows(*args)  # type: ignore[arg-type]

        patch.setattr(materialise, "_read_latest_rows", dying)
        with pytest.raises(KeyboardInterrupt):
            materialise.run(settings, LAST)
    assert online.read(settings.feast, 1) == served
    materialise.run(settings, LAST)
    [expected] = ask(settings, [(1, end_of_night(LAST))])
    mended = online.read(settings.feast, 1)
    assert mended is not None
    assert dict(mended) == {name: expected[name] for name in mended}


def test_a_night_writes_the_rows_that_differ_and_no_others(tmp_path: Path, events: list[Event]) -> None:
    settings = clinic(tmp_path)
    write_batch(settings, MIDDLE, known_on(events, None, MIDDLE))
    stage.run(settings, MIDDLE)
    everybody = materialise.run(settings, MIDDLE).figures["peers"]
    changes = [e for e in known_on(events, MIDDLE, LAST) if e["subject_id"] == 1]
    write_batch(settings, LAST, changes)
    made = stage.run(settings, LAST).figures["peers"]
    written = materialise.run(settings, LAST).figures
    assert made >= everybody > written["peers"]
    subjects = subjects_of(known_on(events, None, MIDDLE))
    for subject, row in zip(subjects, ask(settings, [(s, end_of_night(LAST)) for s in subjects]), strict=True):
        served = online.read(settings.feast, subject)
        assert dict(served or {}) == ({name: row[name] for name in served} if served else {})


def test_features_restored_to_an_earlier_night_are_served_as_of_it(tmp_path: Path, events: list[Event]) -> None:
    settings = clinic(tmp_path)
    for before, night in ((None, MIDDLE), (MIDDLE, LAST)):
        write_batch(settings, night, known_on(events, before, night))
        stage.run(settings, night)
        materialise.run(settings, night)
    for path in settings.features.glob(f"*/{LAST}.parquet"):
        path.unlink()
    materialise.run(settings, MIDDLE)
    row = online.read(settings.feast, 1)
    assert row is not None
    assert row["as_of"] <= end_of_night(MIDDLE)


def test_defining_the_same_store_again_registers_nothing(built: Settings) -> None:
    ask(built, [(1, end_of_night(LAST))])
    before = (built.feast / historical_rows.OFFLINE / feast_store.REGISTRY).stat().st_mtime_ns
    ask(built, [(1, end_of_night(LAST))])
    assert (built.feast / historical_rows.OFFLINE / feast_store.REGISTRY).stat().st_mtime_ns == before
