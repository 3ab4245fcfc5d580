"""Feedback counts up to a cap, and a log line is parsed as written."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.feedback import DailyCap, Feedback, cap_feedback, parse_feedback

START = datetime(2026, 6, 7, 9, tzinfo=UTC)


def make_feedback(
    number: int, answer: str = "a", giver: int = 1, subject: int = 1, kind: str = "rating", **more: object
) -> Feedback:
    values = {"points": 4.0, "by": "patient"} | more
    return Feedback(
        id=f"{number:032x}", answer=answer, subject=subject, at=START, received=START + timedelta(seconds=number),
        giver=giver, kind=kind, picks=("age", "bmi.latest"), style="plain", log_prob=-1.25, refiner="r", release="l",
        endpoint="answer", **values,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["rating", "edit", "card"])
def test_a_line_is_read_as_it_was_written(kind: str) -> None:
    one = make_feedback(1, kind=kind, reason="known", points=None if kind == "edit" else 2.0)
    assert parse_feedback(one.line()) == one


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"id": 1}', make_feedback(1).line()[:-20]])
def test_a_cut_line_is_no_line(line: str) -> None:
    with pytest.raises(ValueError, match="no line of feedback"):
        parse_feedback(line)


def test_a_newer_version_may_add_to_a_line() -> None:
    assert parse_feedback(make_feedback(1).line()[:-1] + ', "new": 1}') == make_feedback(1)


def test_the_last_word_on_an_answer_counts_once() -> None:
    counted, beyond = cap_feedback(
        [make_feedback(2, points=1.0), make_feedback(1, points=5.0), make_feedback(3, kind="edit", points=None)], most=1
    )
    assert ([(f.kind, f.points) for f in counted], beyond) == ([("rating", 1.0), ("edit", None)], 0)


def test_a_comment_teaches_nothing_but_uses_up_the_cap() -> None:
    counted, beyond = cap_feedback([make_feedback(1, "a", kind="comment"), make_feedback(2, "b")], most=1)
    assert (counted, beyond) == ([], 1)


@pytest.mark.attack("access", "33 ratings of one answer, each in another person's name", "one counts, day and night")
def test_a_patient_is_one_voice_however_many_persons_a_client_names() -> None:
    ratings = [make_feedback(n, giver=n, client=9, points=float(n % 5)) for n in range(33)]
    counted, beyond = cap_feedback(ratings, most=3)
    assert ([f.id for f in counted], beyond) == ([ratings[-1].id], 0)
    cap = DailyCap(3)
    assert all(cap.admits([one]) for one in ratings)  # the same voice on the same answer: the last word counts
    assert cap.admits([make_feedback(40, "b", client=9), make_feedback(41, "c", client=9)])
    assert not cap.admits([make_feedback(42, "d", giver=77, client=9)])


@pytest.mark.attack("access", "one client speaks in the names of 33 clinicians", "the caps of its client count")
def test_a_client_counts_no_more_by_naming_more_clinicians() -> None:
    edits = [make_feedback(n, giver=n, client=9, by="clinician", kind="edit", points=None) for n in range(33)]
    assert [len(cap_feedback(edits, most)[0]) for most in (0, 1, 3)] == [0, 1, 3]
    many = [make_feedback(n, f"a{n}", giver=n, client=9, by="clinician") for n in range(33)]
    assert [len(cap_feedback(many, most)[0]) for most in (0, 1, 3)] == [0, 1, 9]


def test_all_or_none_of_a_request_is_within_the_caps() -> None:
    cap = DailyCap(2)
    assert not cap.admits([make_feedback(n, f"a{n}") for n in range(3)])
    assert cap.admits([make_feedback(n, f"a{n}") for n in range(2)])


FEEDBACK = st.lists(
    st.builds(
        make_feedback,
        st.integers(0, 50),
        st.sampled_from("abcdef"),
        st.integers(1, 2),
        st.integers(1, 2),
        st.sampled_from(["rating", "thumbs", "edit", "comment", "preferred"]),
    ),
    max_size=30,
    unique_by=lambda f: f.id,
)


@given(FEEDBACK, st.integers(0, 4), st.randoms(use_true_random=False))
def test_no_giver_counts_for_more_answers_of_a_patient_than_the_cap_in_whatever_order(
    given_: list[Feedback], most: int, random: object
) -> None:
    counted, beyond = cap_feedback(given_, most)
    answers = Counter((giver, subject) for giver, subject, _ in {(f.giver, f.subject, f.answer) for f in counted})
    assert all(n <= most for n in answers.values())
    shuffled = given_[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cap_feedback(shuffled, most) == (counted, beyond)
    assert cap_feedback(given_, 30)[1] == 0


@given(FEEDBACK, FEEDBACK, st.integers(0, 3))
def test_what_counts_already_is_not_pushed_out_by_what_comes_later(
    first: list[Feedback], later: list[Feedback], most: int
) -> None:
    afterwards = [make_feedback(100 + i, f.answer, f.giver, f.subject, f.kind) for i, f in enumerate(later)]
    before = {(f.giver, f.subject, f.answer) for f in cap_feedback(first, most)[0]}
    assert before <= {(f.giver, f.subject, f.answer) for f in cap_feedback([*first, *afterwards], most)[0]}
