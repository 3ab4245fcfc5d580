"""The gate's off-policy figure: rated answers matched by keyed hashes, train and test splits unread."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.feedback import Feedback
from models.refiner.baselines import EmptyRefiner
from pipelines.evaluation.nightly import off_policy
from pipelines.records.feedback.intake import reward_log_folder
from pipelines.training import rated_answers
from pmlm.settings import Settings
from tests.little_episodes import episode

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPISODES = [replace(episode(i, "gate"), subject_id=i, question=f"Question {i}?") for i in range(6)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops")


def _rated(number: int, points: float | None = 4.0, picks: tuple[str, ...] = (), by: str = "patient") -> Feedback:
    return Feedback(
        id=f"{number:032x}", answer=f"{number:032x}", subject=number, at=NOW, received=NOW, giver=1, by=by,  # type: ignore[arg-type]
        kind="rating", points=points, picks=picks, style="plain", log_prob=-1.0, refiner="r", release="x",
        endpoint="answer",
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Question hashes of answers in the interaction log, by answer: filled by a test."""
    known: dict[str, int] = {}
    found: dict[str, SimpleNamespace] = {}
    monkeypatch.setattr(
        rated_answers,
        "find_answers",
        lambda *_: found | {i: SimpleNamespace(id=i, question=question) for i, question in known.items()},
    )
    return known


def _ask(settings: Settings, asked: dict[str, int], answer: int, question: int) -> None:
    asked[f"{answer:032x}"] = settings.pseudonym("question", f"Question {question}?")


def test_an_answer_counts_where_patient_and_question_are_an_episodes(settings: Settings, asked: dict[str, int]) -> None:
    rated = {one.answer: one for one in (_rated(1), _rated(2), _rated(3), _rated(99), _rated(4))}
    for number in (1, 2, 99):  # of answer 3 the question is not known, patient 99 has no episode
        _ask(settings, asked, number, number)
    _ask(settings, asked, 4, 5)  # another patient's question
    found = rated_answers.match_episodes(settings, rated, EPISODES)
    assert [(one.subject, episode.subject_id) for one, episode in found] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_figure_has_counts_and_estimates_of_the_gate_split_alone(
    settings: Settings, asked: dict[str, int], split: str
) -> None:
    folder = reward_log_folder(settings)
    folder.mkdir(parents=True)
    lines = [_rated(1), _rated(2, 2.0), _rated(3, by="clinician"), _rated(4, None)]
    (folder / "20260101.jsonl").write_text("".join(one.line() + "\n" for one in lines))
    for number in (1, 2):
        _ask(settings, asked, number, number)
    figure = off_policy.estimate_challenger(settings, "20260101", EmptyRefiner(), EPISODES)
    assert figure is not None
    assert (figure["rated"], figure["matched"], figure["patients"]) == (2, 2, 2)
    assert figure["dr"] == figure["logged_points"] == 3.0
    assert figure["effective_answers"] == 2.0
    unread = off_policy.estimate_challenger(
        settings, "20260101", EmptyRefiner(), [replace(e, split=split) for e in EPISODES]
    )
    assert unread is not None
    assert (unread["matched"], unread["dr"]) == (0, None)


def test_without_ratings_there_is_no_figure(settings: Settings) -> None:
    assert off_policy.estimate_challenger(settings, "20260101", EmptyRefiner(), EPISODES) is None


def test_a_rating_after_the_nights_end_waits_so_that_a_rerun_reads_the_same(settings: Settings) -> None:
    folder = reward_log_folder(settings)
    folder.mkdir(parents=True)
    (folder / "20260101.jsonl").write_text(_rated(1).line() + "\n")
    assert rated_answers.read_rated(settings, "20251231") == {}
    assert list(rated_answers.read_rated(settings, "20260101")) == [f"{1:032x}"]
