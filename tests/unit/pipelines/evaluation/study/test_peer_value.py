"""What like women add: something where replies depend on it, nothing where they do not, nothing below k women."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from models.encoder import MiniLM
from models.refiner.interface import Caps
from models.schema import Episode, Segment
from pipelines.evaluation.study.comparison import peer_rates
from pipelines.evaluation.study.comparison.truth import CONTROL, PLANTED, ReplyTruth
from pipelines.evaluation.study.rows import peer_value
from tests.little_episodes import episode

FACTS = {
    "no.thyroid": "No thyroid disease.",
    "haemoglobin.latest": "Haemoglobin 12.1 g/dL.",
    "smoking": "Never smoked.",
}


def _women(count: int, split: str, planted: bool) -> list[Episode]:
    """Epileptic women are answered by the blood count, others by the thyroid; by chance where nothing is planted."""
    random = np.random.default_rng(len(split))
    found = []
    for i in range(count):
        epileptic = bool(i % 2)
        first = epileptic if planted else bool(random.integers(2))
        about = "haemoglobin.latest" if first else "no.thyroid"
        own = (Segment("condition.epilepsy", "record", "Has epilepsy.", tokens=5),) if epileptic else ()
        free = tuple(Segment(key, "record", text, tokens=5) for key, text in FACTS.items())
        found.append(
            replace(
                episode(i, "train"), episode_id=f"{len(split)}{i:04d}", subject_id=1000 * len(split) + i, split=split,
                question="Why am I so tired?", segments=(*free, *own), facts=frozenset([about]),
                reply=(f"About {FACTS[about]}",), specific=(True,),
            )
        )  # fmt: skip
    return found


def _rows(planted: bool, k: int = 10, monkeypatch: pytest.MonkeyPatch | None = None) -> dict[str, float | None]:
    train, test = _women(80, "train", planted), _women(30, "test", planted)
    uptake = [SimpleNamespace(uptake=np.array([float(s.key in e.facts) for s in e.free])) for e in train]
    assert monkeypatch is not None
    monkeypatch.setattr(peer_rates, "align_replies", lambda *_: SimpleNamespace(replies=uptake))
    bench = SimpleNamespace(
        train=train, test=test, encode=MiniLM(), caps=Caps(1, 60), settings=SimpleNamespace(k_anonymity=k)
    )
    kind = PLANTED if planted else CONTROL
    truth = {e.episode_id: ReplyTruth(peers=kind) for e in test}
    return {row.name: row.value for row in peer_value.build_rows(bench, truth)}  # type: ignore[arg-type]


def test_like_women_help_where_their_replies_differ_from_other_womens(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(True, monkeypatch=monkeypatch)
    assert rows["peer_vs_self_planted"] == pytest.approx(0.5, abs=0.01)
    assert (rows["peer_vs_random_women_planted"] or 0) > 0.2


def test_like_women_help_little_where_nothing_was_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(False, monkeypatch=monkeypatch)
    assert set(rows) == {"peer_vs_self_control", "peer_vs_random_women_control", "peer_vs_global_control"}
    assert abs(rows["peer_vs_self_control"] or 0) < 0.35


def test_fewer_women_than_k_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _rows(True, k=1000, monkeypatch=monkeypatch)["peer_vs_self_planted"] == 0.0


def test_a_patients_own_replies_are_never_used() -> None:
    train = _women(12, "train", True)
    uptake = tuple(SimpleNamespace(uptake=np.ones(len(e.free))) for e in train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer_rates, "align_replies", lambda *_: SimpleNamespace(replies=uptake))
        rates = peer_rates.fit_peer_rates(train, MiniLM(), 1)
        assert rates is not None
        question = np.asarray(MiniLM().encode([train[0].question])[0], dtype=np.float64)
        before = rates.rate(question, train[0], None)
        own = rates.subjects == train[0].subject_id
        changed = replace(rates, taken=np.where(own[:, None], 0.0, rates.taken))
        assert changed.rate(question, train[0], None) == before
