"""``pmlm evaluate``: rows with intervals, a page that opens alone, and nothing paid for twice."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study import evaluate, page
from pipelines.evaluation.study.evaluate import StudyOptions
from pipelines.evaluation.study.rows.unseen import new_topic_rl
from tests.behaviour.training.conftest import Trained


@pytest.fixture(scope="module")
def episodes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("external") / "episodes.jsonl"
    lines = [
        {
            "episode": str(i), "patient": f"p{i // 2}", "question": "What should I do about my cough?",
            "segments": [{"key": k, "text": text} for k, text in (("a", "She smokes."), ("b", "No fever."))],
            "reference": "Stop smoking. Rest.",
        }
        for i in range(4)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def rows(trained: Trained, episodes_file: Path) -> list[MetricRow]:
    return evaluate.evaluate_clinic(trained.settings, StudyOptions(quick=True, external=episodes_file))


def test_every_scored_row_is_there_with_n_patients_and_interval(rows: list[MetricRow]) -> None:
    names = {(row.row, row.name) for row in rows}
    for wanted in (
        (1, "gain_validity_auc"), (5, "ablation_refined_vs_ranking"), (6, "refined_vs_minilm"),
        (6, "refined_vs_random"), (6, "refined_vs_length_matched"), (6, "refined_vs_recent"),
        (6, "refined_token_share"), (7, "refined_vs_warm_start"),
        (7, "refined_vs_table"), (7, "refined_vs_regressor"), (6, "refined_vs_fixed"), (8, "selection_swap"),
        (9, "external_refined_vs_minilm"), (11, "pinned_present"), (6, "ranking_f1"), (6, "ranking_vs_minilm"),
        (6, "refined_f1"), (6, "refined_vs_ranking"), (6, "refined_share_of_true_facts_gain"),
        (11, "attacked_pinned_present"), (12, "preference_1_ratings_vs_global_mean"),
    ):  # fmt: skip
        assert wanted in names
    compared = [row for row in rows if row.name.startswith("refined_vs_")]
    assert all(row.n and row.patients and row.ci_low is not None for row in compared)


def test_external_rows_say_so(rows: list[MetricRow]) -> None:
    external = [row for row in rows if row.split == "external"]
    assert {row.row for row in external} == {9}
    assert all(row.n == 4 and row.patients == 2 for row in external)


def test_a_second_run_gives_the_same_rows_and_scores_nothing_again(
    trained: Trained, rows: list[MetricRow], episodes_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.reward.embedded_scorer import EmbeddedScorer

    def never(*_: object) -> None:
        raise AssertionError("a reward was paid for twice")

    monkeypatch.setattr(EmbeddedScorer, "score_sentences", never)
    again = evaluate.evaluate_clinic(trained.settings, StudyOptions(quick=True, external=episodes_file))
    assert [asdict(r) for r in again if r.row != 13] == [asdict(r) for r in rows if r.row != 13]


def test_the_page_opens_without_a_network_and_the_rows_are_a_file(trained: Trained, rows: list[MetricRow]) -> None:
    text = (page.page_folder(trained.settings) / "index.html").read_text()
    assert "selection_swap" in text
    assert '<script src="http' not in text
    assert "<link" not in text
    lines = (trained.settings.metrics / "method.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [row.name for row in rows]


def test_rl_on_a_new_topic_is_compared_with_its_start_and_with_supervision_at_as_many_rewards(
    trained: Trained, rows: list[MetricRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_topic_rl, "FEWEST_GAINS", 1)
    monkeypatch.setattr(new_topic_rl, "QUICK_REWARDS", 16)
    found = evaluate.evaluate_clinic(trained.settings, StudyOptions(quick=True, seeds=2, rows=("new topic rl",)))
    by_name = {row.name: row for row in found}
    for rival in ("warm_start", "equal_reward_control"):
        assert by_name[f"rl_new_topic_reward_vs_{rival}"].n
        assert by_name[f"rl_new_topic_f1_vs_{rival}"].patients
    assert by_name["rl_new_topic_rewards"].value == 16
    assert {row.row for row in found} == {7}


def test_a_budget_bounds_the_held_out_rows(trained: Trained, rows: list[MetricRow]) -> None:
    few = evaluate.evaluate_clinic(trained.settings, StudyOptions(quick=True, budget=60))
    (n,) = {row.n for row in few if row.name == "refined_vs_random"}
    assert 0 < n <= 4


def test_a_file_of_other_episodes_counts_for_the_parts_that_read_it_alone(
    trained: Trained, rows: list[MetricRow]
) -> None:
    steps: list[str] = []
    without = StudyOptions(quick=True, rows=("training", "behaviour"))
    evaluate.evaluate_clinic(trained.settings, without, lambda step, *_: steps.append(step))
    assert steps == ["training (finished before)", "behaviour (finished before)"]
