"""From episodes to a gated refiner, with the real scorer."""

from __future__ import annotations

import json
import math
import shutil

import pytest

from models.encoder import MiniLM
from models.refiner import checkpoint
from models.refiner.interface import Caps
from models.schema import EditProgram
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly import gate
from pipelines.evaluation.nightly import stage as evaluate
from pipelines.runs import request_training
from pipelines.training import rewards, train
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json
from tests.little_episodes import NIGHT, PARAMS, clinic, episode

CAPS = Caps(PARAMS["train"]["pick_cap"], PARAMS["train"]["token_cap"])
WHAT_COUNTS = (
    "models/challenger",
    "metrics/train.json",
    "metrics/evaluation.json",
    "metrics/gate.json",
    "models/champion",
)


def _hashes(settings: Settings) -> dict[str, str]:
    return {name: hash_files([settings.workspace / name]) for name in WHAT_COUNTS}


def test_the_challenger_is_a_whole_artefact_with_a_card(trained) -> None:
    folder = trained.settings.models / "challenger"
    refiner = checkpoint.load_refiner(folder, MiniLM())
    described = checkpoint.read_description(folder)
    assert described["kind"] == "policy"
    assert refiner.id == described["id"]
    assert described["caps"] == {"picks": CAPS.picks, "tokens": CAPS.tokens}
    assert described["origin"]["feature_service"] == "pmlm_v1"
    assert described["id"] in (folder / "README.md").read_text()


def test_no_patient_is_named_in_a_metric_or_a_card(trained) -> None:
    subjects = {str(e.subject_id) for e in episode_file.read_episodes(trained.settings)}
    episodes = {e.episode_id for e in episode_file.read_episodes(trained.settings)}
    files = [*trained.settings.metrics.glob("*.json"), *trained.settings.models.rglob("README.md")]
    words = {w.strip('",:[]{}') for f in files for w in f.read_text().split()}
    assert not words & episodes
    assert not {w for w in words & subjects if len(w) > 3}


def test_what_training_reports_is_what_its_parameters_allow(trained) -> None:
    report = read_json(trained.settings.metrics / "train.json")
    assert report["start"] == "warm start"
    assert report["episodes"] == 24
    assert 0 < report["measured"] < 24
    steps = PARAMS["train"]["grpo_steps"]
    assert len(report["grpo"]["reward"]) == len(report["grpo"]["dead"]) == len(report["grpo"]["entropy"]) == steps
    spent_on_rl = steps * PARAMS["train"]["batch"]
    assert report["evaluations"] <= PARAMS["train"]["gain_evaluations"] + spent_on_rl


def test_a_rerun_of_the_whole_night_gives_the_same_hashes(trained, tmp_path) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained.settings.home, home, symlinks=True)
    again = Settings(home=home, drops=home / "drops")
    before = _hashes(again)
    for stage in (train, evaluate, gate):
        stage.run(again, NIGHT)
    assert _hashes(again) == before


def test_a_cold_cache_gives_the_same_weights_as_a_warm_one(trained, tmp_path) -> None:
    cold = clinic(tmp_path / "home")
    train.run(cold, NIGHT)
    assert hash_files([cold.models / "challenger"]) == hash_files([trained.settings.models / "challenger"])


def test_every_row_of_the_evaluation_says_on_whom_and_how_sure(trained) -> None:
    rows = read_json(trained.settings.metrics / "evaluation.json")["rows"]
    assert {row["split"] for row in rows} == {"gate", "test"}
    for row in rows:
        assert set(row) == {
            "row", "name", "split", "value", "ci_low", "ci_high", "n", "patients", "seeds", "target", "holds",
        }  # fmt: skip
        assert (row["n"], row["patients"]) <= (9, 3)
        assert row["ci_low"] is None or row["ci_low"] <= row["value"] <= row["ci_high"]
    names, on_gate = ({row["name"] for row in rows if row["split"] == split} for split in ("test", "gate"))
    rivals = ("champion", "initial", "ranking", "minilm", "random", "none", "warm_start")
    assert {f"refined_vs_{rival}" for rival in rivals} <= names
    assert {f"reward_refined_vs_{rival}" for rival in rivals} <= names
    assert {name.rpartition("_")[2] for name in on_gate if "_vs_" in name} == {"champion"}
    assert "ownership" in names - on_gate
    assert all(row["value"] == 1.0 for row in rows if row["name"] == "pinned_present")


def test_all_but_the_initial_prompt_keep_the_caps(trained) -> None:
    rows = read_json(trained.settings.metrics / "evaluation.json")["rows"]
    tokens = {row["name"]: row["value"] for row in rows if row["name"].endswith("_tokens") and row["split"] == "test"}
    assert all(value <= CAPS.tokens for name, value in tokens.items() if name != "initial_tokens")


def test_the_facts_behind_a_reply_change_no_decision(trained, tmp_path) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained.settings.home, home, symlinks=True)
    blind = Settings(home=home, drops=home / "drops")
    without = [
        type(e)(**{name: getattr(e, name) for name in e.__slots__} | {"facts": frozenset(), "topic": None})
        for e in episode_file.read_episodes(blind)
    ]
    episode_file.write_episodes(blind, without)
    for stage in (train, evaluate, gate):
        stage.run(blind, NIGHT)
    weights, seen = (s.models / "challenger" / checkpoint.WEIGHTS for s in (blind, trained.settings))
    assert weights.read_bytes() == seen.read_bytes()
    assert (blind.metrics / "gate.json").read_bytes() == (trained.settings.metrics / "gate.json").read_bytes()
    names = {row["name"] for row in read_json(blind.metrics / "evaluation.json")["rows"]}
    assert not {name for name in names if name.endswith("_f1")}


def test_a_fact_behind_the_reply_raises_its_likelihood_more_than_another_fact(trained) -> None:
    behind, beside = [], []
    with rewards.open_rewards(trained.settings, 0.003) as reward:
        for one in (episode(i, "train") for i in range(8)):
            programs = [EditProgram(()), *(EditProgram((s.key,)) for s in one.free)]
            none, *single = (o.score.specific for o in reward.outcomes([(one, p) for p in programs]))
            for segment, likelihood in zip(one.free, single, strict=True):
                (behind if segment.key in one.facts else beside).append(likelihood - none)
    assert min(len(behind), len(beside)) > 5
    assert sum(behind) / len(behind) > sum(beside) / len(beside) + 0.01


def test_the_price_of_length_is_in_the_reward_and_pinned_facts_are_not_priced(trained) -> None:
    one = episode(3, "train")
    with rewards.open_rewards(trained.settings, 0.5) as reward:
        none, all_free = reward.outcomes([(one, EditProgram(())), (one, EditProgram(tuple(s.key for s in one.free)))])
    assert none.tokens == 0
    assert none.reward == pytest.approx(none.score.specific)
    assert all_free.reward == pytest.approx(all_free.score.specific - 0.5 * 8 * len(one.free))


def test_the_next_night_goes_on_from_a_champion_that_is_a_policy_for_fewer_steps(trained, tmp_path) -> None:
    from pipelines.training import champion

    home = tmp_path / "home"
    shutil.copytree(trained.settings.home, home, symlinks=True)
    settings = Settings(home=home, drops=home / "drops")
    before = champion.read_champion(settings)
    if before.kind != "policy":
        champion.promote(settings, NIGHT, settings.models / "challenger")
    request_training(settings, "20260602", "asked for")
    summary = train.run(settings, "20260602")
    assert summary.figures["start"] == "champion"
    assert summary.figures["evaluations"] == PARAMS["train"]["continued_steps"] * PARAMS["train"]["batch"]
    assert not (settings.models / "challenger" / "warm_start").exists()


def test_too_few_episodes_hold_and_say_so_and_the_ranking_is_champion(tmp_path) -> None:
    settings = clinic(tmp_path / "home")
    episode_file.write_episodes(settings, [episode(i, "train") for i in range(5)])
    summaries = [stage.run(settings, NIGHT) for stage in (train, evaluate, gate)]
    assert [s.status for s in summaries] == ["hold"] * 3
    assert "5 episodes" in summaries[0].detail
    assert read_json(settings.metrics / "gate.json")["champion"] == "ranking"
    assert checkpoint.load_refiner(settings.models / "champion", MiniLM()).id == "ranking"
    assert not any((settings.models / "challenger").iterdir())


def test_too_few_gate_patients_hold_however_good_the_challenger(trained, tmp_path) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained.settings.home, home, symlinks=True)
    settings = Settings(home=home, drops=home / "drops")
    evaluated = read_json(settings.metrics / "evaluation.json")
    evaluated["paired"] = {"patient": [0, 0, 0, 1, 1, 1], "difference": [1.0] * 6}
    (settings.metrics / "evaluation.json").write_text(json.dumps(evaluated))
    shutil.rmtree(settings.models / "champion")
    summary = gate.run(settings, NIGHT)
    assert summary.status == "hold"
    assert "2 patients" in summary.detail
    assert not math.isnan(read_json(settings.metrics / "gate.json")["value"])
