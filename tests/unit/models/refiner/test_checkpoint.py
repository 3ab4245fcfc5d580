"""A saved refiner loads as the same refiner or raises an error."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from models.refiner import checkpoint, gain_regressors
from models.refiner.baselines import RankingRefiner
from models.refiner.featurizer import NUMERIC_FEATURES
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Caps
from models.schema import EditProgram, Segment

ORIGIN = checkpoint.Provenance(encoder="minilm", template="v1", feature_service="pmlm_v1", feature_schema="abc")


def test_a_policy_comes_back_choosing_the_same(read, world, encoder, tmp_path) -> None:
    policy = read.policy()
    identity = checkpoint.save_policy(tmp_path, policy, ORIGIN, card="# {id}\n")
    loaded = checkpoint.load_refiner(tmp_path, encoder)
    assert loaded.id == identity
    original = PolicyRefiner(policy, encoder, identity)
    for episode in world.episodes[:10]:
        assert loaded.refine(episode.question, episode.segments) == original.refine(episode.question, episode.segments)
    assert (tmp_path / checkpoint.CARD).read_text() == f"# {identity}\n"
    assert checkpoint.read_description(tmp_path)["origin"]["feature_schema"] == "abc"


def test_equal_policies_have_equal_bytes_and_ids_and_different_ones_do_not(read, tmp_path) -> None:
    ids = [checkpoint.save_policy(tmp_path / str(i), read.policy(seed), ORIGIN) for i, seed in enumerate((0, 0, 1))]
    assert ids[0] == ids[1] != ids[2]
    assert (tmp_path / "0" / checkpoint.WEIGHTS).read_bytes() == (tmp_path / "1" / checkpoint.WEIGHTS).read_bytes()


def test_the_reading_table_is_not_in_the_checkpoint(read, tmp_path) -> None:
    checkpoint.save_policy(tmp_path, read.policy(), ORIGIN)
    assert (tmp_path / checkpoint.WEIGHTS).stat().st_size < read.table.embedding.nbytes + 400_000
    assert b"embedding" not in (tmp_path / checkpoint.WEIGHTS).read_bytes()[:4000]


@pytest.mark.parametrize("file", [checkpoint.WEIGHTS, checkpoint.DESCRIPTION])
def test_an_altered_refiner_is_refused(read, encoder, tmp_path, file) -> None:
    checkpoint.save_policy(tmp_path, read.policy(), ORIGIN)
    path = tmp_path / file
    if file == checkpoint.WEIGHTS:
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(bytes(raw))
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"caps": {"picks": 9, "tokens": 60}}))
    with pytest.raises(checkpoint.CheckpointError, match="altered"):
        checkpoint.load_refiner(tmp_path, encoder)


def test_a_policy_with_other_segment_features_is_outdated(read, tmp_path, monkeypatch) -> None:
    checkpoint.save_policy(tmp_path, read.policy(), ORIGIN)
    monkeypatch.setattr("models.refiner.policy.NUMERIC_FEATURES", NUMERIC_FEATURES + 2)
    with pytest.raises(checkpoint.OutdatedCheckpointError, match="with other segment features"):
        checkpoint.load_policy(tmp_path)


def test_a_policy_of_before_the_calibrated_stop_is_served_by_its_own_rule(read, world, encoder, tmp_path) -> None:
    policy = read.policy(version=1)
    torch.manual_seed(1)
    policy.pointer.stop.reset_parameters()
    checkpoint.save_policy(tmp_path, policy, ORIGIN)
    description = json.loads((tmp_path / checkpoint.DESCRIPTION).read_text())
    assert description["version"] == 1
    loaded = checkpoint.load_policy(tmp_path)
    assert not loaded.config.is_calibrated
    episode = world.episodes[0]
    for bias, picks in ((60.0, 0), (-60.0, 4)):  # a sure STOP, and none before the caps
        policy.pointer.stop.bias.data.fill_(bias)
        assert len(PolicyRefiner(policy, encoder, "old").refine(episode.question, episode.segments).picks) == picks


def test_a_policy_of_before_the_relevance_of_findings_is_served_as_it_was_trained(
    read, world, encoder, tmp_path
) -> None:
    policy = read.policy(version=2)
    checkpoint.save_policy(tmp_path, policy, ORIGIN)
    assert b"of_relevance" not in (tmp_path / checkpoint.WEIGHTS).read_bytes()
    loaded = checkpoint.load_refiner(tmp_path, encoder)
    tired = Segment("condition.anaemia", "record", "Has anaemia.", tokens=4)
    for episode in world.episodes[:5]:
        segments = (*episode.segments[:-1], tired)
        before = PolicyRefiner(policy, encoder, "old").refine("Why am I so tired?", segments)
        assert loaded.refine("Why am I so tired?", segments) == before
    assert not checkpoint.load_policy(tmp_path).config.reads_relevance
    assert checkpoint.load_policy(tmp_path).config.is_calibrated


def test_a_policy_of_a_version_to_come_is_refused_in_words(read, tmp_path) -> None:
    checkpoint.save_policy(tmp_path, read.policy(version=4), ORIGIN)
    with pytest.raises(checkpoint.OutdatedCheckpointError, match=r"is of version 4; this software reads 3"):
        checkpoint.load_policy(tmp_path)


def test_the_ranking_is_saved_like_any_refiner(encoder, tmp_path) -> None:
    checkpoint.save_ranking(tmp_path, Caps(2, 30), ORIGIN)
    loaded = checkpoint.load_refiner(tmp_path, encoder)
    assert isinstance(loaded, RankingRefiner)
    assert loaded.caps == Caps(2, 30)
    with pytest.raises(checkpoint.CheckpointError, match="not a policy"):
        checkpoint.load_policy(tmp_path)


def test_an_empty_folder_is_no_refiner(encoder, tmp_path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="missing"):
        checkpoint.load_refiner(tmp_path, encoder)


@pytest.mark.parametrize("kind", ["fixed", "table", "regressor"])
def test_a_loaded_gain_refiner_chooses_the_same_and_holds_no_text(kind, world, encoder, tmp_path) -> None:
    random = np.random.default_rng(0)
    measured = []
    for episode in world.episodes[:30]:
        gains = [np.nan if s.pinned else world.worth(episode, EditProgram((s.key,))) for s in episode.segments]
        noise = 0.05 * random.normal(size=len(gains))
        measured.append(
            gain_regressors.MeasuredEpisode(
                episode.question, episode.subject_id, episode.segments, np.array(gains) + noise, np.array([0, 0.1, 0])
            )
        )
    learn = getattr(gain_regressors, f"fit_{kind}")
    refiner = learn(measured, Caps(3, 40)) if kind == "fixed" else learn(measured, Caps(3, 40), encoder)
    identity = checkpoint.save_gain_refiner(tmp_path, refiner, ORIGIN, card="# {id}\n")
    loaded = checkpoint.load_refiner(tmp_path, encoder)
    assert loaded.id == identity == checkpoint.read_description(tmp_path)["id"]
    assert (checkpoint.read_description(tmp_path)["kind"], loaded.caps) == (kind, Caps(3, 40))
    programs = [loaded.refine(e.question, e.segments) for e in world.episodes[30:60]]
    assert programs == [refiner.refine(e.question, e.segments) for e in world.episodes[30:60]]
    assert sum(len(p.picks) for p in programs) > 20
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for text in (world.episodes[0].question, world.episodes[0].free[0].text):
        assert text.encode() not in files
    (tmp_path / checkpoint.DESCRIPTION).write_text(
        (tmp_path / checkpoint.DESCRIPTION).read_text().replace('"brief"', '"plain"')
    )
    with pytest.raises(checkpoint.CheckpointError, match="altered"):
        checkpoint.load_refiner(tmp_path, encoder)
