"""SQLite, Redis and Postgres hold the same rows, change at once, and report being down."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_repo.store import feast_store, online
from feature_repo.store.online_stores import describe_store, redact_setting
from feature_repo.store.rows import cast_row
from feature_repo.store.services import SERVICE
from pipelines.features.build import historical_rows, stage
from pipelines.features.online import materialise, removal
from pipelines.night_dates import end_of_night
from pmlm.errors import FeaturesError, SettingsError
from pmlm.settings import Settings
from tests.unit.pipelines.features import oracle
from tests.unit.pipelines.features.built import LAST, clinic, known_on, night_of, patients, write_batch
from tests.unit.pipelines.features.engine_rows import differences
from tests.unit.pipelines.features.histories import Event
from tests.unit.pipelines.features.servers import PASSWORD, Server, postgres, redis

MIDDLE = night_of(5)
SERVERS = {"redis": redis, "postgres": postgres}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return patients(seed=31, pairs=5)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    """Two nights' features, nothing online yet."""
    settings = clinic(tmp_path_factory.mktemp("built"))
    for before, night in ((None, MIDDLE), (MIDDLE, LAST)):
        write_batch(settings, night, known_on(events, before, night))
        stage.run(settings, night)
    return settings


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with SERVERS[request.param]() as running:
        yield running


@pytest.fixture
def settings(built: Settings, server: Server, tmp_path: Path) -> Iterator[Settings]:
    """The built clinic with an own store folder and server rows, dropped after the test."""
    shutil.copytree(built.home, tmp_path / "state")
    changed = built.model_copy(update={"home": tmp_path / "state", "online_store": server.url})
    yield changed
    if (changed.feast / feast_store.CONFIG).exists():
        feast_store.open_store(changed.feast).teardown()


def served(settings: Settings, events: list[Event]) -> dict[int, dict]:
    found = {s: online.read(settings.feast, s) for s in sorted({e["subject_id"] for e in events})}
    return {s: dict(row) for s, row in found.items() if row is not None}


def assert_right(rows: dict[int, dict], events: list[Event], night: str) -> None:
    """Every row equals the oracle's at the end of the night."""
    assert rows
    for subject, row in rows.items():
        pair = [e for e in events if (e["subject_id"] + 1) // 2 == (subject + 1) // 2]
        expected = oracle.features(pair, subject, end_of_night(night))
        assert differences(row, expected | {"as_of": row["as_of"]}) == {}


def test_all_stores_hold_the_same_rows_and_types(
    settings: Settings, built: Settings, events: list[Event], tmp_path: Path
) -> None:
    materialise.run(settings, LAST)
    rows = served(settings, events)
    assert_right(rows, events, LAST)
    in_sqlite = settings.model_copy(update={"home": tmp_path / "other"})
    in_sqlite.online_store = "sqlite"
    shutil.copytree(built.home, in_sqlite.home)
    materialise.run(in_sqlite, LAST)
    expected = served(in_sqlite, events)
    assert {s: {n: (type(v), v) for n, v in r.items()} for s, r in rows.items()} == {
        s: {n: (type(v), v) for n, v in r.items()} for s, r in expected.items()
    }
    assert materialise.run(settings, LAST).status == "noop"


def by_feast(settings: Settings, subjects: list[int]) -> dict[int, dict]:
    """Read by Feast's own path, one call per patient."""
    opened = feast_store.open_store(settings.feast)
    service = opened.get_feature_service(SERVICE)
    answers = {}
    for subject in subjects:
        found = opened.get_online_features(features=service, entity_rows=[{"subject_id": subject}]).to_dict()
        answers[subject] = dict(cast_row({name: values[0] for name, values in found.items()}))
    return answers


@pytest.mark.parametrize("in_sqlite", [False, True])
def test_our_one_question_gives_what_feast_gives(settings: Settings, events: list[Event], in_sqlite: bool) -> None:
    if in_sqlite:
        settings.online_store = "sqlite"
    materialise.run(settings, LAST)
    rows = served(settings, events)
    assert len(rows) == len({e["subject_id"] for e in events})
    for subject, expected in by_feast(settings, list(rows)).items():
        assert {n: (type(v), v) for n, v in rows[subject].items()} == {n: (type(v), v) for n, v in expected.items()}
    assert online.read(settings.feast, 999_999) is None
    assert by_feast(settings, [999_999])[999_999]["as_of"] is None


def test_the_next_night_reaches_readers_that_have_the_store_open(settings: Settings, events: list[Event]) -> None:
    last = _set_aside(settings, LAST)
    materialise.run(settings, MIDDLE)
    assert_right(served(settings, events), events, MIDDLE)
    _bring_back(last)
    summary = materialise.run(settings, LAST)
    assert summary.rows_in == len(last)
    assert_right(served(settings, events), events, LAST)


def test_a_restored_night_replaces_the_whole_store_at_once(settings: Settings, events: list[Event]) -> None:
    materialise.run(settings, LAST)
    before = feast_store.open_store(settings.feast).project
    _set_aside(settings, LAST)
    materialise.run(settings, MIDDLE)
    assert_right(served(settings, events), events, MIDDLE)
    assert feast_store.open_store(settings.feast).project != before
    assert rows_on_server(settings) == {feast_store.open_store(settings.feast).project}


def test_a_filling_that_died_is_not_seen_and_leaves_nothing_behind(
    settings: Settings, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    materialise.run(settings, LAST)
    rows = served(settings, events)
    (settings.feast / materialise.TAKEN).unlink()
    with monkeypatch.context() as patch:
        latest, calls = materialise._read_latest_rows, []

        def dying(*args: object) -> object:
            calls.append(args)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return latest(*args)  # type: ignore[arg-type]

        patch.setattr(materialise, "_read_latest_rows", dying)
        with pytest.raises(KeyboardInterrupt):
            materialise.run(settings, LAST)
    assert served(settings, events) == rows
    materialise.run(settings, LAST)
    assert served(settings, events) == rows
    assert rows_on_server(settings) == {feast_store.open_store(settings.feast).project}


@pytest.mark.parametrize("then", [MIDDLE, LAST])
def test_what_a_killed_night_had_written_in_place_is_never_served_beside_another(
    settings: Settings, events: list[Event], monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """A rerun of the night, or a restore of the one before, changes no row."""
    last = _set_aside(settings, LAST)
    materialise.run(settings, MIDDLE)
    _bring_back(last)
    with monkeypatch.context() as patch:
        differing, calls = materialise._select_changed, []

        def dying(*rows: object) -> object:
            calls.append(rows)
            if len(calls) == 6:
                raise KeyboardInterrupt
            return differing(*rows)  # type: ignore[arg-type]

        patch.setattr(materialise, "_select_changed", dying)
        with pytest.raises(KeyboardInterrupt):
            materialise.run(settings, LAST)
    if then == MIDDLE:
        _set_aside(settings, LAST)
    materialise.run(settings, then)
    assert_right(served(settings, events), events, then)
    assert materialise.run(settings, then).status == "noop"


def test_a_server_that_lost_its_rows_is_filled_again(settings: Settings, events: list[Event]) -> None:
    materialise.run(settings, LAST)
    emptied = feast_store.open_store(settings.feast)
    emptied._get_provider().teardown_infra(emptied.project, emptied.list_feature_views(), emptied.list_entities())
    materialise.run(settings, LAST)
    assert_right(served(settings, events), events, LAST)


def test_the_setting_alone_moves_a_clinic_to_another_store(settings: Settings, events: list[Event]) -> None:
    url, settings.online_store = settings.online_store, "sqlite"
    materialise.run(settings, LAST)
    rows = served(settings, events)
    settings.online_store = url
    materialise.run(settings, LAST)
    assert not (settings.feast / "online.db").exists()
    assert served(settings, events) == rows
    settings.online_store = "sqlite"
    materialise.run(settings, LAST)
    assert served(settings, events) == rows


@pytest.mark.fault(
    "store",
    "Postgres and Redis stopped, and frozen (SIGSTOP)",
    "reported in time; found again when they are back",
)
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_store_that_does_not_answer_is_said_within_the_bound_and_found_again(
    settings: Settings, server: Server, events: list[Event], how: str
) -> None:
    materialise.run(settings, LAST)
    subject = events[0]["subject_id"]
    expected = online.read(settings.feast, subject)
    frozen = dataclasses.replace(server).frozen()
    if how == "frozen":
        frozen.__enter__()
    else:
        server.stop()
    try:
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(online.StoreDownError) as raised:
                online.read(settings.feast, subject, patience_s=1.0)
            assert time.monotonic() - started < 2.0
            assert PASSWORD not in str(raised.value)
    finally:
        frozen.__exit__(None, None, None) if how == "frozen" else server.start()
    if how == "stopped" and server.url.startswith("redis"):
        materialise.run(settings, LAST)  # a Redis that saves nothing comes back empty
    assert online.read(settings.feast, subject) == expected


def test_the_past_can_be_read_while_the_store_is_down(settings: Settings, server: Server) -> None:
    import pandas as pd

    server.stop()
    try:
        asked = pd.DataFrame({"subject_id": [1], "event_timestamp": [pd.Timestamp(end_of_night(LAST))]})
        assert historical_rows.read_rows(settings, asked)["as_of"][0] is not None
        with pytest.raises(FeaturesError, match="does not answer") as raised:
            materialise.run(settings, LAST)
        assert PASSWORD not in str(raised.value)
    finally:
        server.start()


def test_the_configuration_with_the_password_is_its_owners_alone(settings: Settings) -> None:
    materialise.run(settings, LAST)
    assert (settings.feast / feast_store.CONFIG).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "setting",
    [
        "mysql://h/x",
        "redis:///1",
        "redis://h/name",
        "postgresql://h/x",
        "postgresql://u@h",
        "",
        "postgresql://u@h/x?a=1",
    ],
)
def test_a_setting_that_names_no_store_is_refused(setting: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PMLM_ONLINE_STORE"):
        materialise.run(clinic(tmp_path).model_copy(update={"online_store": setting}), LAST)


def test_what_is_shown_of_a_setting_holds_no_secret() -> None:
    assert redact_setting("postgresql://u:secret@db.clinic:5433/x") == "postgresql://db.clinic:5433"
    assert redact_setting("sqlite") == "sqlite"
    assert describe_store("rediss://cache/2")["connection_string"].startswith("cache:6379,db=2,ssl=true")


def _set_aside(settings: Settings, night: str) -> list[tuple[Path, bytes]]:
    """Take a night's feature files away, as a restore to the night before does."""
    files = [(path, path.read_bytes()) for path in sorted(settings.features.glob(f"*/{night}.parquet"))]
    for path, _ in files:
        path.unlink()
    return files


def _bring_back(files: list[tuple[Path, bytes]]) -> None:
    for path, data in files:
        path.write_bytes(data)


def rows_on_server(settings: Settings) -> set[str]:
    """List this clinic's projects that have any row on the server."""
    opened = feast_store.open_store(settings.feast)
    if opened.config.online_store.type == "redis":
        client = opened._get_provider().online_store._get_client(opened.config.online_store)
        return {key[key.rindex(b"pmlm_") :].decode() for key in client.scan_iter()}
    with opened._get_provider().online_store._get_conn(opened.config) as connection, connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        return {"_".join(name.split("_")[:2]) for (name,) in cursor.fetchall()}


@pytest.mark.parametrize("in_sqlite", [False, True])
def test_an_erased_patient_leaves_the_store_and_no_other_row_changes(
    settings: Settings, events: list[Event], in_sqlite: bool
) -> None:
    if in_sqlite:
        settings.online_store = "sqlite"
    materialise.run(settings, LAST)
    before = served(settings, events)
    gone = min(before)
    assert removal.remove_patients(settings, [gone]) > 0
    assert served(settings, events) == {subject: row for subject, row in before.items() if subject != gone}
    assert removal.remove_patients(settings, [gone]) == 0
    assert removal.has_taken_all(settings)
