"""The conversations of a night rest on what the drops before it have brought, and on nothing later."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from benchmarks.fortnight import conversations
from benchmarks.fortnight.conversations import QUESTIONS, Portal, find_liked_styles
from benchmarks.fortnight.plan import day_of
from benchmarks.fortnight.sample import HAEMOGLOBIN, Resource, Sample, Talk
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import moment

PATIENTS = [f"p{n}" for n in range(20)]
NIGHTS = range(2, 12)
VALUE = 8.7


def build_talk(patient: str, reply: str = "Rest.") -> Talk:
    sender = fhir.build_reference("Patient", patient)
    sent = moment(day_of(-40))
    question = fhir.build_message(f"q-{patient}", patient, sender, sent, "Why am I so tired?")
    return Talk(patient, question, fhir.build_message(f"a-{patient}", patient, sender, sent, reply, question["id"]))


@pytest.fixture
def sample() -> Sample:
    made = Sample(PATIENTS, {})
    made.resources = [{"resourceType": "Patient", "id": patient, "birthDate": "1990-01-01"} for patient in PATIENTS]
    made.talks = [build_talk(patient) for patient in PATIENTS]
    return made


def measure(patient: str, night: int) -> Resource:
    concept = fhir.build_concept("http://loinc.org", HAEMOGLOBIN, "Hemoglobin")
    quantity = fhir.build_quantity(VALUE, "g/dL")
    return fhir.build_observation(f"hb-{patient}", patient, concept, moment(day_of(night), 10), valueQuantity=quantity)


def test_a_reply_speaks_of_a_measurement_from_the_day_after_its_drop_on(sample: Sample) -> None:
    portal, brought, stated = Portal(sample, 0), 6, Counter[int]()
    for night in NIGHTS:
        portal.learn(night, [measure(patient, night - 3) for patient in PATIENTS if night == brought])
        replies = [talk.reply["payload"][0]["contentString"] for talk in portal.talk(night, PATIENTS)]
        stated[night] = sum(str(VALUE) in text for text in replies)
    assert sum(stated.values())
    assert {night for night, count in stated.items() if count} <= set(range(brought + 1, NIGHTS.stop))


def test_a_night_has_its_questions_once_a_patient_before_the_visits(sample: Sample) -> None:
    talks = Portal(sample, 0).talk(3, PATIENTS)
    assert len(talks) == len({talk.patient for talk in talks}) == QUESTIONS
    assert all(day_of(3).isoformat() in talk.question["sent"] for talk in talks)
    assert all(talk.question["sent"] < fhir.format_instant(moment(day_of(3), 9)) for talk in talks)
    assert all(talk.reply["sent"] > talk.question["sent"] for talk in talks)


def test_no_topic_comes_twice_before_the_others_came_once(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Counter[str]()
    compose = conversations.compose_reply

    def count(topic, chart, style, rng: random.Random):  # type: ignore[no-untyped-def]
        reply = compose(topic, chart, style, rng)
        asked.update([topic.topic] if reply else [])
        return reply

    monkeypatch.setattr(conversations, "compose_reply", count)
    portal = Portal(sample, 0)
    for night in range(2, 7):
        assert portal.talk(night, PATIENTS[:1])
    assert set(asked.values()) == {1}


def test_a_patient_likes_the_style_of_most_replies() -> None:
    long = " ".join(["word"] * 60)
    talks = [build_talk("p0", text) for text in ("Rest.", "Rest.", long)]
    talks += [build_talk("p1", text) for text in ("Rest.", long, long)]
    assert find_liked_styles(talks) == {"p0": "brief", "p1": "detailed"}
