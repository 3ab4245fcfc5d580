"""A draft says what the clinic says, and only what this patient's record says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drafts.catalogue import DraftCatalogue, Judgement, dump_catalogue, read_catalogue
from models.drafts.drafting import Draft, count_best, draft_reply
from models.drafts.learning import learn_catalogue
from models.schema import Segment
from tests.unit.models.drafts import clinic_of_replies as clinic
from tests.unit.models.drafts.clinic_of_replies import WordEncoder, haemoglobin, record

LOW = "Your haemoglobin of {} g/dL is low, so start iron tablets."


@pytest.fixture(scope="module")
def catalogue() -> DraftCatalogue:
    return clinic.learn(clinic.clinic())[0]


def draft(catalogue: DraftCatalogue, *segments: Segment, question: str = clinic.QUESTION, **pinned: str) -> Draft:
    return draft_reply(WordEncoder().encode([question])[0], record(*segments, **pinned), catalogue)


def test_numbers_come_from_the_record_and_every_sentence_has_its_fact(catalogue: DraftCatalogue) -> None:
    made = draft(catalogue, haemoglobin(9.75))
    drafted = {s.text: s for s in made.sentences}
    assert LOW.format("9.75") in drafted
    fact = drafted[LOW.format("9.75")]
    assert ([f.key for f in fact.facts], fact.facts[0].sources, fact.donors) == (["haemoglobin.latest"], ("lab",), 10)
    assert made.text.endswith("Rest when you can.")


def test_a_question_like_none_that_was_answered_gets_no_draft(catalogue: DraftCatalogue) -> None:
    assert draft(catalogue, haemoglobin(9.75), question="Where do parking permits come from?").sentences == ()


@given(value=st.floats(8, 14).map(lambda v: round(v, 1)))
def test_low_and_fine_are_drafted_of_values_that_are(catalogue: DraftCatalogue, value: float) -> None:
    text = draft(catalogue, haemoglobin(value)).text
    assert "low" not in text or value < 11
    assert "fine" not in text or value >= 11
    assert str(value) in text or "haemoglobin" not in text


@pytest.mark.attack(
    "safety messages",
    "a draft for a patient whose record lacks the fact, denies it, suspects it, or has it as history",
    "the sentence is not offered",
)
@pytest.mark.parametrize(
    "text",
    [
        None,
        "Suspected, not confirmed: haemoglobin of 9.4 g/dL below the usual range.",
        "Her haemoglobin was 9.4 g/dL 2 weeks ago, not confirmed, below the usual range.",
        "Her haemoglobin was 12.9 g/dL 2 weeks ago, within the usual range.",
        "Her haemoglobin was 94 g/L 2 weeks ago, below the usual range.",
        "Her haemoglobin fell by 9.4 g/dL in 2 weeks.",
    ],
)
def test_a_sentence_whose_fact_is_not_on_the_record_is_never_offered(
    catalogue: DraftCatalogue, text: str | None
) -> None:
    segments = [] if text is None else [Segment("haemoglobin.latest", "record", text, recency_days=14.0)]
    assert "low" not in draft(catalogue, *segments).text


@pytest.mark.attack(
    "safety messages",
    "a draft where the pregnancy, the age of a value or a further fact differs from all who received the sentence",
    "the sentence is not offered",
)
@pytest.mark.parametrize(
    ("segments", "pregnancy"),
    [
        ([haemoglobin(9.4)], "She is not pregnant; her last pregnancy ended 6 weeks ago."),
        ([haemoglobin(9.4)], "She is 39 weeks pregnant."),
        ([Segment("haemoglobin.latest", "record", haemoglobin(9.4).text, recency_days=600.0)], clinic.PREGNANT),
        ([haemoglobin(9.4), Segment("medicine.iron", "record", "She takes iron tablets.")], clinic.PREGNANT),
    ],
)
def test_a_record_unlike_the_donors_gets_no_such_sentence(
    catalogue: DraftCatalogue, segments: list[Segment], pregnancy: str
) -> None:
    assert "iron" not in draft(catalogue, *segments, pregnancy=pregnancy).text


def test_another_question_draws_other_sentences() -> None:
    travel = [
        clinic.episode(
            n, record(haemoglobin(9.4)), ["Walk about every hour on the plane."], question=clinic.OTHER_QUESTION
        )
        for n in range(200, 212)
    ]
    made = draft(clinic.learn([*clinic.clinic(), *travel])[0], haemoglobin(9.4), question=clinic.OTHER_QUESTION)
    assert [s.text for s in made.sentences] == ["Walk about every hour on the plane."]


@pytest.mark.attack("access", "a sentence that nine patients received", "it is in no draft, and in no release")
@pytest.mark.parametrize(("patients", "offered"), [(9, False), (10, True)])
def test_fewer_than_ten_patients_make_no_sentence(patients: int, offered: bool) -> None:
    repeated = [clinic.low(n, subject=n % patients) for n in range(30)]
    made, counts = clinic.learn(repeated)
    assert (counts.offered > 0) is offered
    assert bool(made.kinds) is offered  # a mean of fewer patients' questions would be nearly one patient's
    assert (b"haemoglobin" in dump_catalogue(made)) is offered


@pytest.mark.attack("access", "a name, a placeholder or a rare word in a clinician's reply", "it is in no draft")
@pytest.mark.parametrize("tail", ["Dear [name], yours.", "Greet Quillfeather from the ward {}."])
def test_what_names_somebody_is_never_offered(tail: str) -> None:
    episodes = [
        clinic.episode(n, record(haemoglobin(9.0 + n / 100)), [tail.format("abcdefghijklmnopqrst"[n] * 3)])
        for n in range(15)
    ]
    made, _ = clinic.learn(episodes)
    assert made.sentences == ()


def test_a_number_that_the_record_does_not_explain_is_never_offered() -> None:
    episodes = [
        clinic.episode(n, record(haemoglobin(9.0 + n / 100)), [f"Take {n + 3} tablets of your iron."])
        for n in range(15)
    ]
    assert clinic.learn(episodes)[0].sentences == ()


def test_a_place_that_held_other_numbers_in_another_wording_gives_none(catalogue: DraftCatalogue) -> None:
    text = "Her haemoglobin was 9.1 g/dL, then 9.8 g/dL 2 weeks ago, below the usual range."
    assert "low" not in draft(catalogue, Segment("haemoglobin.latest", "record", text, recency_days=14.0)).text


def test_what_the_safety_check_objects_to_is_withheld(catalogue: DraftCatalogue) -> None:
    question = WordEncoder().encode([clinic.QUESTION])[0]
    made = draft_reply(
        question, record(haemoglobin(9.4)), catalogue, lambda text: ("allergy",) if "iron" in text else ()
    )
    assert "iron" not in made.text
    assert made.withheld["allergy"] >= 1


def test_what_clinicians_reject_is_drafted_less(catalogue: DraftCatalogue) -> None:
    episodes = clinic.clinic()
    made = next(s for s in draft(catalogue, haemoglobin(9.4)).sentences if "low" in s.text)
    judged, _ = learn_catalogue(
        episodes, clinic.link(episodes), WordEncoder(), 10, judgements={made.id: Judgement(rejected=5)}
    )
    again = next(s for s in draft(judged, haemoglobin(9.4)).sentences if "low" in s.text)
    assert again.probability == pytest.approx(made.probability / 2, abs=1e-3)


def test_a_catalogue_is_written_and_read_whole(catalogue: DraftCatalogue, tmp_path: Path) -> None:
    (tmp_path / "catalogue.json").write_bytes(dump_catalogue(catalogue))
    assert read_catalogue(tmp_path) == catalogue
    assert read_catalogue(tmp_path / "none") is None
    assert dump_catalogue(clinic.learn(list(reversed(clinic.clinic())))[0]) == dump_catalogue(catalogue)


@pytest.mark.parametrize(
    "episodes",
    [
        [],
        [clinic.low(1)],
        [clinic.episode(n, record(), ["好的。"]) for n in range(12)],
        [clinic.episode(n, record(), ["Yes."]) for n in range(12)],
        [clinic.episode(n, record(), []) for n in range(12)],
    ],
)
def test_replies_that_teach_nothing_make_an_empty_catalogue(episodes: list) -> None:
    made, counts = clinic.learn(episodes)
    assert made.sentences == ()
    assert counts.offered == 0
    assert draft(made, haemoglobin(9.4)).sentences == ()


@given(st.lists(st.floats(0.01, 1), max_size=12))
def test_the_stop_has_the_greatest_expected_f1(probabilities: list[float]) -> None:
    ordered = sorted(probabilities, reverse=True)
    best = count_best(ordered, 4.0)
    expected = [2 * sum(ordered[:n]) / (n + 4.0) for n in range(1, min(8, len(ordered)) + 1)]
    assert best == 0 if not ordered else expected[best - 1] >= max(expected) - 1e-5
