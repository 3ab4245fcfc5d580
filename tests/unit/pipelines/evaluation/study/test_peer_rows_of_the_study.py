"""Row 4: another embedding finds other peers and changes nothing else of the forecast."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.peers.patient_embedding import DAY, FEATURES, States, build_states
from pipelines.evaluation.study.rows import peers

NOW = 20_000 * DAY
LATER = NOW + 182 * DAY
ASKER, DONORS, K = 1, range(2, 42), 10


def _patient(subject: int, at: int, emergencies: list[int]) -> dict[str, Any]:
    """A patient who differs from others, as the fixed embedding reads them, by emergencies alone."""
    born = NOW - 30 * 365 * DAY
    row = dict.fromkeys(FEATURES) | {"subject_id": subject, "at": at, "birth": born, "condition_codes": []}
    return row | {"emergency_visit_times": emergencies, "medicine_texts": [], "visit_times": []}


def _clinic() -> States:
    """Every second donor was in an emergency lately; the asker was not, and will be."""
    rows = [_patient(ASKER, NOW, []), _patient(ASKER, LATER, [LATER - DAY])]
    rows += [_patient(d, NOW, [NOW - 3 * DAY] if d % 2 else []) for d in DONORS]
    rows.sort(key=lambda r: (r["subject_id"], r["at"]))
    columns = {name: [r[name] for r in rows] for name in FEATURES}
    return build_states([r["subject_id"] for r in rows], [r["at"] for r in rows], columns)


def test_the_learned_embedding_chooses_the_peers_and_the_rest_stays() -> None:
    made = _clinic()
    # in the learned embedding the asker is one of those who had an emergency
    learned = np.array([[0.0] if s == ASKER or s % 2 else [10.0] for s in made.subject])
    found = peers._forecast(made, learned, ASKER, NOW, LATER, K)
    assert found is not None
    slices, served, forecasts = found
    assert served
    assert "cohort_neither" in slices
    guess = next(g for g in forecasts if g.observed == 100.0)
    assert guess.forecasts["learned"] == 100.0
    assert guess.forecasts["cohort"] == 50.0
    assert guess.forecasts["peers"] < 50.0


def test_the_error_of_each_way_of_guessing_is_a_row_and_only_two_have_a_target() -> None:
    guesses = [
        peers.PeerForecast(s, "iron", 100.0 * (s % 2), {"peers": 50.0, "random": 40.0, "cohort": 50.0, "learned": 60.0})
        for s in range(20)
    ]
    rows = {r.name: r for r in peers._error_rows(guesses)}
    assert {n for n, r in rows.items() if r.target is not None} == {
        "peers_better_than_cohort",
        "peers_better_than_random",
    }
    assert rows["peers_better_than_learned"].value is not None
    assert rows["peers_better_than_learned"].value > 0
    assert rows["peer_error_learned"].n == 20
