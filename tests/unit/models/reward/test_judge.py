"""A judge's grades become a reward only through a calibration that people's grades bear out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.llm import LLMError
from models.reward.judge import (
    CalibratedScorer,
    Calibration,
    CalibrationError,
    GradedAnswer,
    Grading,
    Judge,
    JudgeScorer,
    calibrate_judge,
    fit_calibration,
    read_graded_answers,
)
from models.reward.request_pool import ScorerError
from models.reward.score_cache import CachedScorer, ScoreCache
from models.reward.terms import Trial, score_trials
from tests.answering_server import serving


class Rater:
    """A judge behind HTTP that reads ``quality=N`` in the answer, with known noise."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.requests: list[dict[str, Any]] = []
        self.instead: list[str] = []

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.requests.append(body)
        assert body["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
        if self.instead:
            return 200, _completion(self.instead.pop(0))
        asked = body["messages"][1]["content"]
        random = np.random.default_rng(len(asked) + sum(map(ord, asked)))
        quality = float(asked.rpartition("quality=")[2].split()[0]) + self.noise * random.normal()
        stated = int(np.clip(round(quality), 0, 10))
        grading = {"facts_in_reply": 10, "facts_stated": stated, "contradictions": int(stated < 2), "tone": 2}
        return 200, _completion(json.dumps(grading))


def _completion(text: str) -> dict[str, Any]:
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "rater", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}  # fmt: skip


class Answering:
    """A language model that answers better with more facts in its prompt; may be down."""

    id = "answering"

    def __init__(self, down: bool = False) -> None:
        self.down = down

    def complete(self, system: str, user: str) -> str:
        if self.down:
            raise LLMError("answering: APITimeoutError")
        return f"An answer of quality={system.count('fact')} to it"


@pytest.fixture
def rater() -> Rater:
    return Rater()


@pytest.fixture
def judge(rater: Rater) -> Iterator[Judge]:
    with serving(rater) as base_url:
        yield Judge(base_url, "rater")


def graded(n: int, seed: int = 0) -> list[GradedAnswer]:
    """Answers of known quality, graded 1–5 by people who are a little noisy."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        quality = random.uniform(0, 10)
        grade = float(np.clip(round(1 + 0.4 * quality + random.normal(0, 0.3)), 1, 5))
        found.append(
            GradedAnswer(question=f"Question {i}?", reply="Reply.", answer=f"quality={quality:.2f} ", grade=grade)
        )
    return found


def test_quality_rewards_facts_and_tone_and_punishes_contradictions() -> None:
    def quality(*counts: int) -> float:
        names = ("facts_in_reply", "facts_stated", "contradictions", "tone")
        return Grading(**dict(zip(names, counts, strict=True))).quality

    assert quality(4, 4, 0, 2) > quality(4, 2, 0, 2) > quality(4, 2, 1, 2) > quality(4, 2, 2, 0)
    assert quality(4, 9, 0, 2) == quality(4, 4, 0, 2)  # no more can be stated than there is
    assert quality(0, 0, 0, 4) == 1.5


def test_a_noisy_judge_is_calibrated_to_people_s_grades(rater: Rater, judge: Judge, tmp_path: Path) -> None:
    rater.noise = 1.5
    fitted = calibrate_judge(judge, graded(60))
    assert fitted.n == 60
    assert 0.7 < fitted.spearman < 1
    assert fitted.error < 0.6 * fitted.plain_error
    assert fitted(1.0) > fitted(0.2)
    assert fitted(-5) == fitted(min(fitted.x))
    fitted.write(tmp_path / "judge" / "calibration.json")
    assert Calibration.read(tmp_path / "judge" / "calibration.json", judge.id) == fitted


def test_a_judge_without_signal_is_refused(rater: Rater, judge: Judge) -> None:
    rater.noise = 1000.0
    with pytest.raises(CalibrationError, match=r"say nothing about the human ones: Spearman .*n 60"):
        calibrate_judge(judge, graded(60))
    with pytest.raises(CalibrationError, match="same grade"):
        fit_calibration("judge", [0.5] * 30, list(range(30)))
    with pytest.raises(CalibrationError, match="say nothing"):
        fit_calibration("judge", range(30), list(range(30, 0, -1)))


def test_without_enough_graded_answers_nothing_is_asked(rater: Rater, judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="3 graded answers; a calibration needs 20"):
        calibrate_judge(judge, graded(3))
    assert not rater.requests
    with pytest.raises(CalibrationError, match="not calibrated"):
        Calibration.read(tmp_path / "none.json", judge.id)


def test_another_judge_s_calibration_is_refused(tmp_path: Path) -> None:
    fit_calibration("judge/other", range(30), list(range(30))).write(tmp_path / "c.json")
    with pytest.raises(CalibrationError, match="of judge/other, not of judge/mine"):
        Calibration.read(tmp_path / "c.json", "judge/mine")


def test_a_file_of_graded_answers_names_the_bad_line_and_not_its_text(tmp_path: Path) -> None:
    path = tmp_path / "graded.jsonl"
    good = graded(1)[0].model_dump_json()
    path.write_text(f'{good}\n\n{{"question": "Am I ill?", "reply": "No.", "answer": "No.", "grade": "best"}}\n')
    with pytest.raises(CalibrationError, match=r"graded.jsonl, line 3: not a graded answer \(grade\)") as caught:
        read_graded_answers(path)
    assert "ill" not in str(caught.value)
    path.write_text(f"{good}\n")
    assert read_graded_answers(path) == graded(1)


def test_a_better_prompt_gets_a_better_reward_and_a_new_calibration_costs_nothing(
    rater: Rater, judge: Judge, tmp_path: Path
) -> None:
    trials = [Trial(f"Prompt. {'A fact. ' * n}", "Question?", ("One.", "Two."), (True, False)) for n in (1, 6, 9)]
    cached = CachedScorer(JudgeScorer(Answering(), judge), ScoreCache(tmp_path / "s"))
    first = CalibratedScorer(
        cached, fit_calibration(judge.id, np.linspace(-0.5, 1.5, 30), np.linspace(1, 5, 30).tolist())
    )
    rewards = [s.specific for s in score_trials(first, trials)]
    assert rewards == sorted(rewards)
    assert rewards[0] < rewards[2]
    asked = len(rater.requests)
    again = CalibratedScorer(
        cached, fit_calibration(judge.id, np.linspace(-0.5, 1.5, 30), np.linspace(1, 9, 30).tolist())
    )
    assert score_trials(again, trials)[2].specific > rewards[2]
    assert len(rater.requests) == asked == 3
    assert first.id != again.id
    assert JudgeScorer(Answering(), judge).id == f"{judge.id}/answering"


def test_a_judge_that_does_not_follow_the_rubric_is_asked_once_more(rater: Rater, judge: Judge) -> None:
    rater.instead = ["I would say it is fine."]
    assert judge.grade("Q?", "R.", "quality=4 ").facts_stated == 4
    rater.instead = ["fine", '{"facts_in_reply": 1, "facts_stated": 1, "contradictions": 0, "tone": 9}']
    with pytest.raises(ScorerError, match="does not answer with the numbers of the rubric"):
        judge.grade("Q?", "R.", "quality=4 ")


def test_a_language_model_that_is_down_is_a_scorer_s_failure(judge: Judge) -> None:
    with pytest.raises(ScorerError, match="APITimeoutError"):
        JudgeScorer(Answering(down=True), judge).score_sentences([Trial("P", "Q?", ("R.",), (True,))])
