"""A night computes what changed alone, and many nights leave what one build would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from feature_repo.store.services import find_groups
from pipelines.features.build import stage
from pipelines.features.engines import feature_files
from pipelines.night_dates import end_of_night
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.unit.pipelines.features.built import (
    LAST,
    all_rows,
    clinic,
    forget,
    group_rows,
    known_on,
    night_of,
    patients,
    uncommitted,
    write_batch,
)
from tests.unit.pipelines.features.histories import Event

NIGHTS = [night_of(day) for day in (2, 5, 6, 9)] + [LAST]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return patients(seed=11, pairs=14)


def batches(events: list[Event]) -> dict[str, list[Event]]:
    """What became known on each of the nights."""
    return {night: known_on(events, before, night) for before, night in zip([None, *NIGHTS[:-1]], NIGHTS, strict=True)}


def in_order(settings: Settings, events: list[Event]) -> Settings:
    """Take in and build night by night."""
    for night, batch in batches(events).items():
        write_batch(settings, night, batch)
        assert stage.run(settings, night).status == "done"
    return settings


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    return in_order(clinic(tmp_path_factory.mktemp("nightly")), events)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    """The same log, built only on the last night."""
    settings = clinic(tmp_path_factory.mktemp("at-once"))
    for night, batch in batches(events).items():
        write_batch(settings, night, batch)
    stage.run(settings, LAST)
    return settings


def differing(a: Settings, b: Settings) -> list[str]:
    one, other = all_rows(a), all_rows(b)
    return [name for name in find_groups() if not one[name].equals(other[name])]


def test_night_after_night_equals_one_build_from_scratch(nightly: Settings, at_once: Settings) -> None:
    assert differing(nightly, at_once) == []


def test_drops_replayed_in_another_order_give_the_same_features(
    tmp_path: Path, events: list[Event], at_once: Settings
) -> None:
    settings = clinic(tmp_path)
    by_night = batches(events)
    for night in (NIGHTS[2], NIGHTS[0], NIGHTS[4], NIGHTS[3], NIGHTS[1]):
        write_batch(settings, night, by_night[night])
        stage.run(settings, night)
    assert differing(settings, at_once) == []


def bytes_of(settings: Settings) -> dict[str, bytes]:
    return {str(p.relative_to(settings.features)): p.read_bytes() for p in settings.features.glob("*/*.parquet")}


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 0, 3, 1, 2), (2, 1, 4, 0, 3)])
def test_a_backfill_of_past_nights_leaves_the_files_of_those_nights_byte_for_byte(
    tmp_path: Path, events: list[Event], nightly: Settings, order: tuple[int, ...]
) -> None:
    """The whole log is there from the beginning; the nights are built in another order, some after later ones."""
    settings = clinic(tmp_path)
    for night, batch in batches(events).items():
        write_batch(settings, night, batch)
    for place in order:
        stage.run(settings, NIGHTS[place])
        ends = pl.scan_parquet(settings.features / "vitals" / "*.parquet").select(pl.col("event_timestamp").max())
        latest = max(NIGHTS[p] for p in order[: order.index(place) + 1])
        assert ends.collect().item() <= end_of_night(latest)
    assert bytes_of(settings) == bytes_of(nightly)


def test_a_lost_file_of_a_past_night_is_built_again_byte_for_byte(tmp_path: Path, nightly: Settings) -> None:
    shutil.copytree(nightly.home, tmp_path / "state")
    settings = clinic(tmp_path)
    before = bytes_of(settings)
    for group in ("vitals", "peers"):
        (settings.features / group / f"{NIGHTS[1]}.parquet").unlink()
    assert stage.run(settings, NIGHTS[1]).status == "done"
    assert bytes_of(settings) == before
    assert stage.run(settings, NIGHTS[1]).status == "noop"


def test_a_build_for_an_older_night_leaves_newer_batches_to_their_night(tmp_path: Path, events: list[Event]) -> None:
    settings = clinic(tmp_path)
    by_night = batches(events)
    write_batch(settings, NIGHTS[0], by_night[NIGHTS[0]])
    write_batch(settings, NIGHTS[1], by_night[NIGHTS[1]])
    write_batch(settings, NIGHTS[0], by_night[NIGHTS[2]], "late")  # a drop of the first night, known from a later day
    stage.run(settings, NIGHTS[0])
    for origin in feature_files.read_origins(settings.features / "vitals"):
        assert origin.events == (f"{NIGHTS[0]}-a.parquet",)
    summary = stage.run(settings, NIGHTS[2])
    assert (summary.status, summary.rows_in) == ("done", len(by_night[NIGHTS[1]]) + len(by_night[NIGHTS[2]]))


def test_files_that_took_in_batches_known_later_are_mended_by_the_next_build(
    tmp_path: Path, events: list[Event], at_once: Settings
) -> None:
    """Earlier versions took in all that the log had, and computed no rows of it."""
    settings = clinic(tmp_path)
    write_batch(settings, NIGHTS[0], batches(events)[NIGHTS[0]])
    stage.run(settings, NIGHTS[0])
    for night in NIGHTS[1:]:
        write_batch(settings, night, batches(events)[night])
    for path in settings.features.glob("*/*.parquet"):
        table = pq.read_table(path)
        stated = json.loads(table.schema.metadata[feature_files.METADATA_KEY])
        stated["events"] = [f"{night}-a.parquet" for night in NIGHTS]
        metadata = {feature_files.METADATA_KEY: json.dumps(stated).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    assert stage.run(settings, LAST).status == "done"
    assert differing(settings, at_once) == []


def test_a_changed_definition_does_not_take_a_group_back_to_an_older_night(
    tmp_path: Path, nightly: Settings, at_once: Settings
) -> None:
    shutil.copytree(nightly.home, tmp_path / "state")
    settings = clinic(tmp_path).model_copy(update={"k_anonymity": 11})
    stage.run(settings, NIGHTS[1])
    assert {o.night for o in feature_files.read_origins(settings.features / "peers")} == set(NIGHTS[1:])
    assert differing(settings, at_once) in ([], ["peers"])


def test_a_second_batch_on_the_same_night_is_taken_in_too(
    tmp_path: Path, events: list[Event], at_once: Settings
) -> None:
    settings = clinic(tmp_path)
    for night, batch in batches(events).items():
        write_batch(settings, night, batch[::2], "a")
        stage.run(settings, night)
        write_batch(settings, night, batch[1::2], "b")
        stage.run(settings, night)
    assert differing(settings, at_once) == []


def test_a_night_without_news_is_a_noop(nightly: Settings) -> None:
    before = hash_files([nightly.features])
    summary = stage.run(nightly, LAST)
    assert (summary.status, summary.rows_in, summary.rows_out) == ("noop", 0, 0)
    assert hash_files([nightly.features]) == before


def test_a_night_adds_rows_only_for_patients_whose_record_changed(nightly: Settings, events: list[Event]) -> None:
    night = NIGHTS[3]
    batch = batches(events)[night]
    owners = {e["record"]: {o["subject_id"] for o in events if o["record"] == e["record"]} for e in batch}
    concerned = set().union(*owners.values())
    came_true = {
        e["subject_id"] for e in events if e["time"] and e["time"] > e["known_at"]
    }  # known ahead of their time: a row on their day
    added = pl.read_parquet(nightly.features / "vitals" / f"{night}.parquet")
    assert set(added["subject_id"]) - concerned - came_true == set()
    assert len(added) < len(group_rows(nightly, "vitals")) / 2


def test_earlier_files_are_never_edited(tmp_path: Path, events: list[Event]) -> None:
    settings = clinic(tmp_path)
    by_night = batches(events)
    write_batch(settings, NIGHTS[0], by_night[NIGHTS[0]])
    stage.run(settings, NIGHTS[0])
    before = {p: p.read_bytes() for p in settings.features.glob("*/*.parquet")}
    write_batch(settings, NIGHTS[1], by_night[NIGHTS[1]])
    stage.run(settings, NIGHTS[1])
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_build_that_dies_leaves_the_same_files_after_a_rerun(
    tmp_path: Path, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = clinic(tmp_path / "whole"), clinic(tmp_path / "killed")
    for settings in (whole, killed):
        write_batch(settings, NIGHTS[0], batches(events)[NIGHTS[0]])
    written, opened = feature_files.open_writer, []

    def dying(*args: object) -> object:
        opened.append(args)
        if len(opened) == len(find_groups()):  # the last: peers, when the other groups' files are in place
            raise KeyboardInterrupt
        return written(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(feature_files, "open_writer", dying)
        with pytest.raises(KeyboardInterrupt):
            stage.run(killed, NIGHTS[0])
    assert len(list(killed.features.glob("*/*.parquet"))) == len(find_groups()) - 1
    stage.run(killed, NIGHTS[0])
    stage.run(whole, NIGHTS[0])
    assert hash_files([killed.features]) == hash_files([whole.features])


def test_a_log_restored_to_an_earlier_night_gets_that_nights_features(tmp_path: Path, events: list[Event]) -> None:
    settings = in_order(clinic(tmp_path), events)
    forget(settings, LAST)
    stage.run(settings, NIGHTS[3])
    never_went_on = clinic(tmp_path / "other")
    for night in NIGHTS[:4]:
        write_batch(never_went_on, night, batches(events)[night])
    stage.run(never_went_on, NIGHTS[3])
    assert differing(settings, never_went_on) == []


def test_a_batch_of_an_import_that_was_killed_is_not_seen(tmp_path: Path, events: list[Event]) -> None:
    seen, never = clinic(tmp_path / "seen"), clinic(tmp_path / "never")
    first, second = NIGHTS[:2]
    for settings in (seen, never):
        write_batch(settings, first, batches(events)[first])
    uncommitted(seen, second, batches(events)[second])
    for settings in (seen, never):
        stage.run(settings, first)
    assert differing(seen, never) == []

    # the import is run again and ends: now the batch counts
    for settings in (seen, never):
        write_batch(settings, second, batches(events)[second])
        stage.run(settings, second)
    assert differing(seen, never) == []
    assert second in {o.night for o in feature_files.read_origins(seen.features / "vitals")}


def test_a_definition_is_the_same_in_every_process(tmp_path: Path) -> None:
    """One that changed by itself would make every night build the whole history again."""
    script = (
        "import json; from pipelines.features.build.definitions import define_groups;"
        "from pmlm.settings import Settings;"
        f"print(json.dumps(define_groups(Settings(home={str(tmp_path)!r}))))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3, 4)
    ]
    assert len(json.loads(printed[0])) > 5
    assert set(printed) == {printed[0]}
