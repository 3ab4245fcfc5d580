"""The parts of the method's table that need no language model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.patient.trajectory import PatientDays
from models.schema import Episode
from pipelines.evaluation.study.rows import change_detection, prediction, preferences
from pipelines.evaluation.study.rows.unseen import external
from pipelines.features.trajectory.sequences import truncate_record
from pmlm.errors import TrainingError

ALL = np.array([True, True, True, True])


def test_recall_and_ndcg_count_what_came_among_the_likeliest() -> None:
    scores, observed = np.array([0.9, 0.1, 0.5, 0.2]), np.array([1.0, 1.0, 0.0, 0.0])
    assert prediction.compute_recall(scores, observed, ALL, 2) == 0.5
    assert prediction.compute_recall(scores, observed, ALL, 4) == 1.0
    assert prediction.compute_ndcg(np.array([1, 0.9, 0, 0]), observed, ALL, 2) == pytest.approx(1.0)
    assert 0 < prediction.compute_ndcg(scores, observed, ALL, 2) < 1
    assert prediction.compute_recall(scores, observed, np.array([False, True, True, True]), 1) == 0.0


def test_a_record_before_a_day_holds_nothing_of_that_day_or_later() -> None:
    record = PatientDays(1, (10.0, 20.0, 30.0), (frozenset("a"), frozenset("b"), frozenset("c")))
    assert truncate_record(record, 20.0).codes == (frozenset("a"),)
    assert truncate_record(record, 5.0).codes == ()


def test_an_alarm_is_raised_after_a_large_step_and_not_in_calm() -> None:
    values = np.array([100.0, 101.0] * 8 + [140.0] * 8)
    series = change_detection.SignalSeries(values, 1.0, 5.0, 16)
    assert change_detection.find_first_alarm(series, change_detection.score_shift(series), 3.0) == 0
    assert change_detection.find_first_alarm(series, change_detection.score_pelt(series), 50.0) is not None
    calm = change_detection.SignalSeries(np.array([100.0, 101.0] * 12), 1.0, 5.0, 12)
    assert change_detection.find_first_alarm(calm, change_detection.score_shift(calm), 3.0) is None


def test_a_detector_sees_nothing_of_the_values_to_come() -> None:
    (series,) = change_detection.generate_series(1, True, 5)
    changed = change_detection.SignalSeries(series.values.copy(), series.noise, series.step, series.change)
    changed.values[15:] += 100
    for statistic in (change_detection.score_shift, change_detection.score_pelt):
        np.testing.assert_allclose(statistic(series)[:15], statistic(changed)[:15])


def test_ratings_bring_the_estimate_nearer_to_the_truth_and_more_of_them_nearer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preferences, "PATIENTS", 60)
    rows = {row.name: row for row in preferences.build_rows(1)}
    one, eight = (rows[f"preference_{n}_ratings_vs_global_mean"] for n in (1, 8))
    assert one.ci_low is not None
    assert one.ci_low > 0
    assert (eight.value or 0) > (one.value or 0)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", "line 2: not a JSON object"),
        ('{"episode": "1", "patient": "p", "question": "q", "segments": []}', "line 2: reference"),
        ('{"episode": "1", "patient": "p", "question": "", "segments": [], "reference": "r"}', "line 2: question"),
    ],
)
def test_a_bad_external_line_is_named(tmp_path: Path, line: str, error: str) -> None:
    good = '{"episode": "1", "patient": "p", "question": "q", "segments": [], "reference": "Rest. Drink."}'
    path = tmp_path / "episodes.jsonl"
    path.write_text(f"{good}\n{line}\n")
    with pytest.raises(TrainingError, match=error):
        external.read_episodes(path, len)


def test_an_external_episode_is_read_as_a_record_of_plain_entries(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text(
        '{"episode": "7", "patient": "x", "question": "What now?", "age": "58", "reference": "Rest well. Come back.", '
        '"segments": [{"key": "a#1", "kind": "Results", "text": "Two  lines\\nof <text>."}]}\n'
    )
    (episode,) = external.read_episodes(path, lambda text: len(text.split()))
    assert isinstance(episode, Episode)
    assert [s.pinned for s in episode.segments] == [True, False]
    assert "\n" not in episode.free[0].text
    assert "<" not in episode.free[0].text
    assert episode.reply == ("Rest well.", "Come back.")
    with pytest.raises(TrainingError, match="no file"):
        external.read_episodes(tmp_path / "absent.jsonl", len)
