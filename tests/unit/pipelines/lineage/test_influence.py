"""A line leads to the episodes of the nights and the releases that rest on it."""

from __future__ import annotations

import polars as pl
import pytest

from pipelines import splits
from pipelines.lineage.influence import LineInfluence, trace_line
from pipelines.lineage.record_events import find_events, find_record
from pipelines.lineage.release_origin import list_trainings, trace_release
from pipelines.lineage.source_lines import find_lines
from pipelines.lineage.trained_nights import SavedExperiment, read_episodes, read_experiment
from pipelines.packaging import stored_releases
from pipelines.records.log import quarantine
from pmlm.settings import Settings
from tests.conftest import NightDone


@pytest.fixture(scope="module")
def settings(night_done: NightDone) -> Settings:
    return night_done.settings


@pytest.fixture(scope="module")
def saved(settings: Settings) -> SavedExperiment:
    night = max(path.parent.name for path in settings.runs.glob("[0-9]*/save.json"))
    return read_experiment(settings, night)


@pytest.fixture(scope="module")
def episodes(settings: Settings, saved: SavedExperiment) -> pl.DataFrame:
    found = read_episodes(settings, saved)
    assert found is not None
    return found.filter(pl.col("split") == splits.TRAIN)


def trace(settings: Settings, source: str, night: str) -> LineInfluence:
    line = find_lines(settings, {night: [source]})[source]
    (found,) = trace_line(settings, f"{line.file}:{line.line}")
    assert found.line == line
    return found


def test_a_question_leads_to_its_episode_and_to_what_was_trained_on_it(
    settings: Settings, saved: SavedExperiment, episodes: pl.DataFrame
) -> None:
    question = find_record(settings, episodes["episode_id"][0])[-1]
    found = trace(settings, question.source, question.night)
    assert [(e.episode, e.role, e.split) for e in found.episodes] == [(question.record, "question", splits.TRAIN)]
    assert saved.night in found.episodes[0].nights
    (use,) = [release for release in found.releases if release.current]
    origin = trace_release(settings, use.release)
    assert origin is not None
    assert use.refiner == (1 if list_trainings(origin.refiner) else 0)
    assert use.ranker == (1 if origin.ranker else 0)
    assert use.judged == 0


def test_a_fact_leads_to_the_episodes_whose_sentences_name_it(settings: Settings, episodes: pl.DataFrame) -> None:
    row = episodes.row(0, named=True)
    source = next(s for sources in row["sources"] for s in sources if ":" not in s)
    event = find_events(settings, [source], row["subject_id"])[0]
    found = trace(settings, source, event.night)
    assert row["episode_id"] in [e.episode for e in found.episodes if e.role == "fact"]
    assert sum(use.naming for use in found.features) > 0
    assert {event.subject for event in found.events} == {row["subject_id"]}


def test_a_line_in_quarantine_says_by_which_rule(settings: Settings) -> None:
    row = next(r for r in quarantine.read_rows(settings) if r.type != "AllergyIntolerance")  # those leave a fact
    (found,) = trace_line(settings, f"{row.night[:4]}-{row.night[4:6]}-{row.night[6:]}/{row.file}:{row.line}")
    assert (found.fate, found.events) == (f"no event: in quarantine by the rule {row.rule}", ())


def test_a_releases_manifest_is_stored_beside_its_files(settings: Settings) -> None:
    current = stored_releases.find_current(settings)
    assert current in stored_releases.list_manifests(settings)
    assert (settings.workspace / "lineage" / "releases" / f"{current}.json").exists()


def test_every_output_of_a_saved_night_has_its_hash(saved: SavedExperiment) -> None:
    assert saved.revision
    assert {"data/events", "data/features", "data/episodes", "models/champion"} <= saved.outs.keys()
