"""The recommender: what like patients' clinicians took up, never from the asker, never from fewer than k."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.peers.recommendation import (
    UNKNOWN,
    Rates,
    Recommender,
    Reply,
    fit_recommender,
    list_columns,
    rate_facts,
)
from models.schema import Segment

K = 10
WIDTH = 6
quick = settings(deadline=None, max_examples=40)


def unit(direction: int, tilt: float = 0.0) -> np.ndarray:
    """A question vector: one of ``WIDTH`` directions, tilted a little toward the next."""
    vector = (
        np.eye(WIDTH, dtype=np.float32)[direction] + tilt * np.eye(WIDTH, dtype=np.float32)[(direction + 1) % WIDTH]
    )
    return vector / np.float32(np.linalg.norm(vector))


def reply(number: int, subject: int, question: np.ndarray, **uptake: float) -> Reply:
    facts = tuple(Segment(key, "record", key) for key in uptake)
    asked = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Reply(f"{number:04d}", subject, asked, question, facts, np.array(list(uptake.values())))


@st.composite
def clinics(draw: st.DrawFn) -> list[Reply]:
    """Replies of up to 16 patients on two kinds of question, with some of four facts each."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(12, 60))
    rng = np.random.default_rng(seed)
    keys = ("condition.asthma", "no.asthma", "weight.latest", "weight.change")
    return [
        reply(
            i,
            int(rng.integers(0, 16)),
            unit(int(rng.integers(2)), float(rng.uniform(0, 0.3))),
            **{key: float(rng.uniform()) for key in keys if rng.random() < 0.7},
        )
        for i in range(count)
    ]


def assert_equal(one: Rates, two: Rates) -> None:
    """Equal in all but what comes from the asker's own replies."""
    for name in ("rate", "about", "donors", "share"):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True), name


def fit(replies: list[Reply]) -> Recommender:
    found = fit_recommender(replies, K)
    assert found is not None
    return found


FACTS = tuple(Segment(key, "record", key) for key in ("condition.asthma", "no.asthma", "weight.latest", "never.seen"))


@quick
@given(clinics(), st.integers(0, 20))
def test_rates_and_shares_are_shares_and_donors_are_none_or_many(replies: list[Reply], asker: int) -> None:
    fitted = fit_recommender(replies, K)
    if fitted is None:
        owned = {(name, r.subject_id) for r in replies for s in r.facts for name in list_columns(s)}
        assert max(Counter(name for name, _ in owned).values(), default=0) < K
        return
    found = rate_facts(fitted, unit(0), FACTS, asker)
    for rate in (found.rate, found.about):
        assert np.all((rate >= 0) & (rate <= 1))
    assert all(n == 0 or n == K or (n > K and n % 5 == 0) for n in found.donors)
    assert np.array_equal(np.isnan(found.share), found.donors == 0)
    assert np.all((found.share[found.donors > 0] >= 0) & (found.share[found.donors > 0] <= 1))


@quick
@given(clinics(), st.integers(0, 15), st.randoms())
def test_the_order_of_replies_changes_nothing(replies: list[Reply], asker: int, shuffle: random.Random) -> None:
    other = shuffle.sample(replies, len(replies))
    one, two = fit_recommender(replies, K), fit_recommender(other, K)
    if one is None or two is None:
        assert one is two
        return
    a, b = (rate_facts(f, unit(1, 0.1), FACTS, asker) for f in (one, two))
    assert_equal(a, b)


@quick
@given(clinics(), st.integers(0, 15))
def test_a_patient_is_never_a_donor_of_their_own(replies: list[Reply], asker: int) -> None:
    rewritten = [replace(r, uptake=1.0 - r.uptake, question=unit(0)) if r.subject_id == asker else r for r in replies]
    one, two = fit_recommender(replies, K), fit_recommender(rewritten, K)
    if one is None or two is None:
        return
    a, b = (rate_facts(f, unit(0), FACTS, asker) for f in (one, two))
    assert_equal(a, b)


@quick
@given(clinics(), st.integers(0, 15))
def test_one_patient_moves_no_rate_by_more_than_one_in_k(replies: list[Reply], donor: int) -> None:
    found = []
    for uptake in (0.0, 1.0):
        clinic = [replace(r, uptake=np.full(len(r.facts), uptake)) if r.subject_id == donor else r for r in replies]
        fitted = fit_recommender(clinic, K)
        if fitted is None:
            return
        found.append(rate_facts(fitted, unit(0), FACTS, subject_id=99))
    for one, two in ((found[0].rate, found[1].rate), (found[0].about, found[1].about)):
        assert np.all(np.abs(one - two) <= 1 / K + 1e-9)


def like(donors: int, uptake: float) -> list[Reply]:
    """Replies to ``donors`` patients' like questions, and to as many others' on something else."""
    asked = [reply(i, i, unit(0), **{"condition.asthma": uptake, "weight.latest": 0.2}) for i in range(donors)]
    return asked + [reply(100 + i, 100 + i, unit(3), **{"condition.asthma": 0.1}) for i in range(2 * K)]


def test_a_fact_often_taken_up_in_like_replies_has_a_high_rate_and_shows_its_donors() -> None:
    fitted = fit(like(K, 0.9))
    here = rate_facts(fitted, unit(0), FACTS)
    elsewhere = rate_facts(fitted, unit(3), FACTS)
    assert here.rate[0] > 0.6 > elsewhere.rate[0]
    assert (here.donors[0], here.share[0]) == (K, 0.9)
    assert elsewhere.share[0] == 0.1


def test_with_one_donor_fewer_than_k_the_rate_falls_back_and_nothing_is_shown() -> None:
    fitted = fit(like(K - 1, 0.9))
    found = rate_facts(fitted, unit(0), FACTS)
    assert found.donors[0] == 0
    assert np.isnan(found.share[0])
    assert found.rate[0] < 0.6
    # whoever asks is not counted: their own reply makes no tenth donor
    asked_by_a_donor = rate_facts(fit(like(K, 0.9)), unit(0), FACTS, subject_id=0)
    assert asked_by_a_donor.donors[0] == 0
    assert asked_by_a_donor.rate[0] < 0.6


@quick
@given(st.floats(0, 1), st.floats(0, 1))
def test_what_few_patients_have_never_moves_a_rate_of_its_own(one: float, two: float) -> None:
    rare = "condition.code:rare"
    found = []
    for uptake in (one, two):
        clinic = like(2 * K, 0.5)
        clinic[0] = reply(0, 0, unit(0), **{"condition.asthma": 0.5, "weight.latest": 0.2, rare: uptake})
        fitted = fit(clinic)
        assert rare not in fitted.columns
        found.append(rate_facts(fitted, unit(0), (Segment(rare, "record", rare),)).rate)
    assert np.array_equal(*found)


def test_with_fewer_than_k_patients_nothing_is_learnt_and_of_nine_others_nothing_is_known() -> None:
    assert fit_recommender([], K) is None
    nine = [reply(i, i, unit(0), **{"condition.asthma": 1.0}) for i in range(K - 1)]
    assert fit_recommender(nine, K) is None
    ten = [*nine, reply(K, K, unit(0), **{"condition.asthma": 1.0})]
    assert rate_facts(fit(ten), unit(0), FACTS, subject_id=0).rate[0] == UNKNOWN


def test_own_earlier_replies_count_for_the_asker_alone_and_only_from_before() -> None:
    clinic = [*like(2 * K, 0.2), reply(50, 0, unit(0), **{"condition.asthma": 1.0})]
    fitted = fit(clinic)
    now, before = (rate_facts(fitted, unit(0), FACTS, 0, at) for at in (None, clinic[-1].as_of))
    assert (now.own_taken[0], now.own_seen[0]) == pytest.approx((1.2, 2.0))
    assert (before.own_taken[0], before.own_seen[0]) == pytest.approx((0.2, 1.0))
    assert_equal(now, before)
    assert not rate_facts(fitted, unit(0), FACTS, 999).own_seen.any()


def test_facts_share_a_family_by_kind_and_state_and_a_subject_matter_by_name() -> None:
    def columns(key: str, change: float = 0.0) -> tuple[str, str, str, str]:
        return list_columns(Segment(key, "record", key, change=change))

    assert columns("weight.latest")[3] == columns("iron.latest")[3] != columns("weight.latest", -2.5)[3]
    assert columns("weight.latest")[2] == columns("weight.change")[2] != columns("iron.latest")[2]
    assert columns("no.asthma")[2] == columns("condition.asthma")[2] == columns("suspected.asthma")[2]
    assert columns("no.asthma")[3] != columns("condition.asthma")[3]
    assert columns("condition.code:1")[3] == columns("condition.code:2")[3] != columns("condition.asthma")[3]
    assert columns("condition.code:1")[2] != columns("condition.code:2")[2]
