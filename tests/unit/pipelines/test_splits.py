"""The splits: one per patient for good; no test question before a training question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipelines.splits import SplitParams, assign_patient, assign_splits, find_time_cut

PARAMS = SplitParams(gate_share=0.25, test_share=0.25, time_quantile=0.6)
START = datetime(2024, 1, 1, tzinfo=UTC)
questions = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 900).map(lambda days: START + timedelta(days=days))), max_size=200
)


@given(asked=questions)
def test_no_patient_is_in_two_splits(asked) -> None:
    seen: dict[int, str] = {}
    for (subject, _), split in zip(asked, assign_splits(asked, PARAMS), strict=True):
        if split is not None:
            assert seen.setdefault(subject, split) == split


@given(asked=questions)
def test_no_gate_or_test_question_comes_before_a_training_question(asked) -> None:
    splits = assign_splits(asked, PARAMS)
    trained = [t for (_, t), split in zip(asked, splits, strict=True) if split == "train"]
    tested = [t for (_, t), split in zip(asked, splits, strict=True) if split in ("gate", "test")]
    assert not trained or not tested or max(trained) < min(tested)


@given(asked=questions.filter(bool), later=questions)
def test_a_growing_clinic_never_moves_a_patient_to_another_split(asked, later) -> None:
    before = dict(zip([s for s, _ in asked], assign_splits(asked, PARAMS), strict=True))
    after = zip(asked + later, assign_splits(asked + later, PARAMS), strict=True)
    assert all(before.get(s) in (None, split) for (s, _), split in after if split is not None)


def test_the_shares_are_those_asked_for() -> None:
    splits = [assign_patient(subject, PARAMS) for subject in range(20_000)]
    for name, share in (("gate", 0.25), ("test", 0.25), ("train", 0.5)):
        assert abs(splits.count(name) / len(splits) - share) < 0.02


def test_the_cut_is_the_quantile_of_time() -> None:
    times = [START + timedelta(days=d) for d in range(100)]
    assert find_time_cut(times[::-1], 0.6) == times[60]
