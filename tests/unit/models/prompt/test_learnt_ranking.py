"""The initial ranking as replies teach it: fitted, saved, loaded, and the same for whoever serves it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.encoder import MiniLM
from models.peers.recommendation import Reply
from models.prompt import ranker_file
from models.prompt.ranking import FEATURES, Questioner, Ranker, rank_segments
from models.prompt.ranking_fit import fit_ranker
from models.schema import Segment

K = 10
TIRED, PAIN = "Why am I so tired?", "Which painkiller may I take?"
#: What replies to a question take up, in this clinic: nothing that the words of the question or guidance give away.
TAKEN = {TIRED: "visits.recent", PAIN: "no.asthma"}
FACTS = tuple(
    Segment(key, "record", text)
    for key, text in {
        "weight.latest": "Weight 68 kg a week ago.",
        "no.asthma": "No asthma on record.",
        "visits.recent": "Seen 3 times in three months.",
        "smoking": "Has never smoked.",
        "sleep": "Tired mothers and painkillers were talked about.",
    }.items()
)


def replies(encoder: MiniLM, patients: int) -> list[Reply]:
    vectors = dict(zip(TAKEN, encoder.encode(list(TAKEN)), strict=True))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Reply(
            f"{i}{q[:3]}",
            i,
            start + timedelta(days=i),
            vectors[q],
            FACTS,
            np.array([0.9 * (s.key == k) for s in FACTS]),
        )
        for i in range(patients)
        for q, k in TAKEN.items()
    ]


@pytest.fixture(scope="module")
def ranker(encoder: MiniLM) -> Ranker:
    fitted = fit_ranker(replies(encoder, 2 * K), encoder, K)
    assert fitted is not None
    return fitted


@pytest.mark.parametrize(("question", "key"), [*TAKEN.items(), ("I feel very tired, why?", "visits.recent")])
def test_what_replies_to_like_questions_took_up_comes_first(
    ranker: Ranker, encoder: MiniLM, question: str, key: str
) -> None:
    first = rank_segments(question, FACTS, encoder, ranker)[0]
    assert first.key == key
    assert (first.donors, first.share) == (2 * K, 0.9)
    assert rank_segments(question, FACTS, encoder)[0].key != key


def test_what_guidance_requires_comes_first_whatever_replies_took_up(ranker: Ranker, encoder: MiniLM) -> None:
    facts = (*FACTS, Segment("condition.asthma", "record", "Has asthma."))
    for known in (ranker, None):
        first, *others = rank_segments(PAIN, facts, encoder, known)
        assert first.key == "condition.asthma"
        assert "BNF" in (first.guidance or "")
        assert not any(s.guidance for s in others)
        assert not any(s.guidance for s in rank_segments("Where can I park?", facts, encoder, known))


def test_where_nothing_was_learnt_nearness_ranks_and_no_donors_are_named(encoder: MiniLM) -> None:
    assert fit_ranker([], encoder, K) is None
    assert fit_ranker(replies(encoder, K - 1), encoder, K) is None
    silent = [replace(r, uptake=np.zeros(len(FACTS))) for r in replies(encoder, K)]
    assert fit_ranker(silent, encoder, K) is None
    assert all(s.donors == 0 and s.share is None for s in rank_segments(TIRED, FACTS, encoder))


@pytest.mark.parametrize("question", ["我为什么这么累？", "?!", "…", "a" * 4000])
def test_a_question_like_no_other_is_ranked_by_what_is_known_without_donors(
    ranker: Ranker, encoder: MiniLM, question: str
) -> None:
    ranked = rank_segments(question, FACTS, encoder, ranker)
    assert {s.key for s in ranked} == {s.key for s in FACTS}
    assert all(s.donors == 0 for s in ranked)
    # the facts that any reply took up are still before those that none did
    assert {s.key for s in ranked[:2]} == set(TAKEN.values())


def test_the_same_facts_in_chinese_rank_by_the_same_replies(ranker: Ranker, encoder: MiniLM) -> None:
    chinese = tuple(replace(s, text=f"事实{i}。") for i, s in enumerate(FACTS))
    assert rank_segments(TIRED, chinese, encoder, ranker)[0].key == TAKEN[TIRED]


def test_ranking_depends_on_the_facts_not_on_their_order(ranker: Ranker, encoder: MiniLM) -> None:
    one, two = (rank_segments(PAIN, facts, encoder, ranker, Questioner(3)) for facts in (FACTS, FACTS[::-1]))
    assert one == two


def test_a_saved_ranker_ranks_the_same_and_equal_ones_have_equal_bytes(
    ranker: Ranker, encoder: MiniLM, tmp_path: Path
) -> None:
    ids = [ranker_file.save_ranker(tmp_path / name, ranker) for name in ("a", "b")]
    assert ids[0] == ids[1] == ranker_file.read_id(tmp_path / "a")
    again = ranker_file.load_ranker(tmp_path / "a")
    assert again is not None
    assert again.id == ids[0]
    assert rank_segments(TIRED, FACTS, encoder, again) == rank_segments(TIRED, FACTS, encoder, ranker)
    for file in (ranker_file.DESCRIPTION, ranker_file.ARRAYS):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert b"tired" not in (tmp_path / "a" / file).read_bytes()


def test_a_ranker_of_before_a_feature_ranks_without_it_and_one_of_an_unknown_feature_is_refused(
    ranker: Ranker, encoder: MiniLM, tmp_path: Path
) -> None:
    earlier = replace(ranker, weights=(*ranker.weights[:-2], 0.0, 0.0))
    ranker_file.save_ranker(tmp_path, ranker)
    rewrite(tmp_path, features=list(FEATURES[:-2]), weights=list(ranker.weights[:-2]))
    loaded = ranker_file.load_ranker(tmp_path)
    assert loaded is not None
    assert loaded.weights == earlier.weights
    assert rank_segments(TIRED, FACTS, encoder, loaded) == rank_segments(TIRED, FACTS, encoder, earlier)
    rewrite(tmp_path, features=["to_come"], weights=[1.0])
    with pytest.raises(ranker_file.RankerError, match="another version"):
        ranker_file.load_ranker(tmp_path)


def rewrite(folder: Path, **changed: object) -> None:
    """Write the description again as another version would have, with its own id."""
    file = folder / ranker_file.DESCRIPTION
    description = json.loads(file.read_text()) | changed
    description.pop("id")
    id_ = ranker_file._identify(description, (folder / ranker_file.ARRAYS).read_bytes())
    file.write_text(json.dumps(description | {"id": id_}))


def test_an_altered_ranker_is_refused_and_a_missing_one_is_none(ranker: Ranker, tmp_path: Path) -> None:
    assert ranker_file.load_ranker(tmp_path) is None
    assert ranker_file.read_id(tmp_path) is None
    ranker_file.save_ranker(tmp_path, ranker)
    file = tmp_path / ranker_file.DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | {"k": 1}))
    with pytest.raises(ranker_file.RankerError, match="not the one"):
        ranker_file.load_ranker(tmp_path)
