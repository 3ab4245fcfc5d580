"""What waits for a night, before and after nights that ended, failed or were killed."""

from __future__ import annotations

import pytest

from pipelines.night import night
from pipelines.records import drops
from pipelines.records.log import ledger
from pipelines.runs import StageSummary, stage_run, summary_path
from pmlm.errors import NightError
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json

NIGHTS = ["20260301", "20260302", "20260303"]


def take_in(settings: Settings, wanted: str, saved: bool = True, finished: bool = False) -> None:
    """What taking in a drop leaves in the ledger and among the summaries."""
    drop = next(d for d in drops.list_drops(settings) if d.night == wanted)
    ledger.write_entry(settings, ledger.LedgerEntry(night=wanted, content=drop.content))
    if saved:
        with stage_run(settings, wanted, "save") as summary:
            summary.figures = {"finished": finished, "ledger": hash_files([ledger.folder(settings)])}


def test_drops_never_taken_in_wait_in_date_order(settings: Settings) -> None:
    assert night.list_pending_nights(settings) == NIGHTS


def test_a_night_killed_before_it_was_saved_waits_again(settings: Settings) -> None:
    take_in(settings, NIGHTS[0])
    take_in(settings, NIGHTS[1], saved=False)
    assert night.list_pending_nights(settings) == NIGHTS[1:]


def test_a_last_night_that_has_not_learnt_waits_alone(settings: Settings) -> None:
    for one in NIGHTS:
        take_in(settings, one)
    assert night.list_pending_nights(settings) == NIGHTS[2:]


def test_nothing_waits_after_a_finished_night(settings: Settings) -> None:
    for one in NIGHTS:
        take_in(settings, one, finished=one == NIGHTS[2])
    assert night.list_pending_nights(settings) == []


def test_a_finished_night_waits_again_when_an_older_drop_came_in_since(settings: Settings) -> None:
    for one in (NIGHTS[0], NIGHTS[2]):
        take_in(settings, one, finished=True)
    take_in(settings, NIGHTS[1])
    assert night.list_pending_nights(settings) == [NIGHTS[2]]


def test_a_drop_whose_content_changed_waits_again(settings: Settings) -> None:
    for one in NIGHTS:
        take_in(settings, one, finished=True)
    (settings.drops / "2026-03-02" / "Late.ndjson").write_text('{"resourceType": "Patient", "id": "w2"}\n')
    assert night.list_pending_nights(settings) == [NIGHTS[1]]


def test_a_later_night_takes_in_the_earlier_ones_first(settings: Settings) -> None:
    assert night.run_intake(settings, NIGHTS[1]) == NIGHTS[1]
    assert night.list_nights(settings) == NIGHTS[:2]
    assert night.list_pending_nights(settings) == NIGHTS[2:]
    assert settings.events.exists()


def test_taking_a_night_in_again_does_nothing(settings: Settings) -> None:
    night.run_intake(settings, NIGHTS[0])
    before = summary_path(settings, NIGHTS[0], "records").stat().st_mtime_ns
    night.run_intake(settings, NIGHTS[0])
    assert summary_path(settings, NIGHTS[0], "records").stat().st_mtime_ns == before


def test_the_failure_of_an_earlier_night_is_lived_through_once_a_run(settings: Settings) -> None:
    settings.features.parent.mkdir(parents=True)
    settings.features.write_text("a file where the features' folder should be")
    with pytest.raises(OSError):  # noqa: PT011 - whatever the file system says
        night.run_intake(settings, NIGHTS[0], run="tonight")
    before = summary_path(settings, NIGHTS[0], "records").stat().st_mtime_ns
    with pytest.raises(NightError, match="20260301 comes before and has failed"):
        night.run_intake(settings, NIGHTS[1], run="tonight")
    assert summary_path(settings, NIGHTS[0], "records").stat().st_mtime_ns == before

    settings.features.unlink()
    night.run_intake(settings, NIGHTS[1], run="tomorrow")
    assert night.list_nights(settings) == NIGHTS[:2]


def test_the_ledger_alone_says_which_night_is_the_last(settings: Settings) -> None:
    with pytest.raises(NightError, match="no night has been taken in"):
        night.find_latest_night(settings)
    take_in(settings, NIGHTS[1])
    assert night.find_latest_night(settings) == NIGHTS[1]


def test_each_night_is_told_which_drop_it_takes_in(settings: Settings) -> None:
    night.run_intake(settings, NIGHTS[0])
    parameters = (settings.workspace / "params.yaml").read_text()
    assert "20260301" in parameters
    assert str(settings.drops / "2026-03-01") in parameters
    summary = StageSummary(**read_json(summary_path(settings, NIGHTS[0], "save")))
    assert set(summary.hashes) == {"data/events", "data/ledger", "models/trajectory", "data/features"}


def test_asking_for_a_training_makes_a_finished_night_wait_again(settings: Settings) -> None:
    for one in NIGHTS:
        take_in(settings, one, finished=one == NIGHTS[2])
    assert night.force_training(settings, "asked for") == NIGHTS[2]
    assert night.list_pending_nights(settings) == NIGHTS[2:]


def test_a_training_is_asked_for_in_the_last_pending_night(settings: Settings) -> None:
    assert night.force_training(settings, "asked for") == NIGHTS[2]
    assert night.list_pending_nights(settings) == NIGHTS
