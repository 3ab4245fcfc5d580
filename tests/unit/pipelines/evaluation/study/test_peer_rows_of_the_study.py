"""Row 4: the cohort is the rival of what is stated alone; another embedding finds other peers and changes no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.peers.outcome_estimates import OutcomeFinding
from models.peers.patient_embedding import DAY, FEATURES, States, build_states
from pipelines.evaluation.study.rows import peers

NOW = 20_000 * DAY
LATER = NOW + 182 * DAY
ASKER, DONORS, K = 1, range(2, 42), 10
STATED = OutcomeFinding(support=20.0, better=0.1, ci_low=0.02, ci_high=0.2, n=300, patients=60)
UNSTATED = OutcomeFinding(support=20.0, better=0.1, ci_low=-0.02, ci_high=0.2, n=300, patients=60)


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
    found = peers._forecast(made, learned, ASKER, NOW, LATER, K, {"emergency": UNSTATED})
    assert found is not None
    slices, served, forecasts = found
    assert served
    assert "cohort_neither" in slices
    (guess,) = forecasts
    assert guess.observed == 100.0
    assert guess.forecasts["learned"] == 100.0
    assert guess.forecasts["cohort"] == 50.0
    assert guess.forecasts["peers"] < guess.forecasts["shrunk"] < 50.0


def _guesses() -> list[peers.PeerForecast]:
    """The shrunk estimate is right of iron, and wrong of anaemia."""
    made = {"peers": 50.0, "random": 40.0, "cohort": 50.0, "learned": 60.0}
    return [
        peers.PeerForecast(s, name, seen, made | {"shrunk": abs(wrong - seen)}, ["all", "age_under_25"])
        for s in range(20)
        for name, wrong in (("iron", 0.0), ("anaemia", 100.0))
        for seen in (100.0 * (s % 2),)
    ]


def test_the_cohort_is_compared_with_what_is_stated_alone_and_its_share_is_a_row() -> None:
    rows = {r.name: r for r in peers._error_rows(_guesses(), {"iron": STATED, "anaemia": UNSTATED})}
    assert (rows["peers_better_than_cohort"].value, rows["peers_better_than_cohort"].n) == (1.0, 20)
    assert rows["peers_better_than_cohort"].holds
    assert rows["peers_shrunk_better_than_cohort"].value == -1.0
    assert rows["peers_stated_all"].value == rows["peers_stated_age_under_25"].value == 0.5
    assert {n for n, r in rows.items() if r.target is not None} == {
        "peers_better_than_cohort",
        "peers_better_than_random",
    }
    assert rows["peer_error_learned"].n == 40


def test_where_nothing_is_stated_no_comparison_with_the_cohort_is_claimed() -> None:
    rows = {r.name: r for r in peers._error_rows(_guesses(), {"iron": UNSTATED, "anaemia": UNSTATED})}
    assert "peers_better_than_cohort" not in rows
    assert rows["peers_stated_all"].value == 0.0
    assert rows["peers_raw_better_than_cohort"].value == 0.0
