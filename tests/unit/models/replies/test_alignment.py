"""Which facts a reply took up: segments compete for each sentence, and what names none rests on none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoder import MiniLM
from models.replies.alignment import AlignedReply, align_replies
from models.replies.sentences import cluster_sentences, contradicts, is_readable
from models.schema import Episode, Segment
from tests.little_episodes import episode

NO_ASTHMA = "No current asthma on her record."
ASTHMA = "Has asthma, first noted 3 years ago."
PREGNANT = Segment("pregnancy", "pinned", "She is 20 weeks pregnant.", pinned=True, tokens=6)


def _episode(
    number: int, reply: tuple[str, ...], facts: dict[str, str], question: str = "May I take ibuprofen?"
) -> Episode:
    free = tuple(Segment(key, "record", text, tokens=8) for key, text in facts.items())
    return Episode(
        f"e{number}", number, datetime(2026, 1, 1, tzinfo=UTC), question, (PREGNANT, *free), reply, (True,) * len(reply)
    )


def _align(episodes: list[Episode], encoder: MiniLM) -> list[AlignedReply]:
    return list(align_replies(episodes, encoder).replies)


def _uptake(reply: AlignedReply) -> dict[str, float]:
    return dict(zip(reply.keys, reply.uptake, strict=False))


LITTLE = [episode(i, "train") for i in range(40)]


def test_a_sentence_rests_on_the_fact_that_it_was_written_for(encoder: MiniLM) -> None:
    labels = [(key in a.episode.facts, p) for a in _align(LITTLE, encoder) for key, p in _uptake(a).items()]
    behind = np.array([p for fact, p in labels if fact])
    rest = np.array([p for fact, p in labels if not fact])
    assert (behind[:, None] > rest).mean() > 0.95
    assert behind.mean() > 0.6
    assert rest.mean() < 0.2


def test_the_facts_behind_a_simulated_reply_are_never_read(encoder: MiniLM) -> None:
    blind = [replace(e, facts=frozenset(), topic=None) for e in LITTLE]
    for seen, hidden in zip(_align(LITTLE, encoder), _align(blind, encoder), strict=True):
        np.testing.assert_array_equal(seen.posterior, hidden.posterior)


def test_a_likelier_source_explains_a_sentence_away(encoder: MiniLM) -> None:
    """A blood thinner is known to those only who are warned of aspirin; an age is known to everyone."""
    rule = {"medicine.anticoagulant": "Takes warfarin, a blood thinner."}
    age = {"age": "Takes part in a study of blood thinners; she is 31 years old."}
    warned = [_episode(i, ("Aspirin is not for you on a blood thinner.",), rule | age) for i in range(8)]
    others = [_episode(i, ("Swimming does you good.",), age) for i in range(8, 24)]
    found = _align([*warned, *others], encoder)
    assert _uptake(found[0])["medicine.anticoagulant"] > 0.7
    assert _uptake(found[0])["age"] < 0.2


def test_pinned_facts_compete_and_are_no_labels(encoder: MiniLM) -> None:
    about = ("You are 20 weeks pregnant, so ibuprofen is not safe.",)
    found = _align([_episode(i, about, {"age": "She is 31 years old."}) for i in range(6)], encoder)
    assert found[0].keys == ("age", "pregnancy")
    assert found[0].posterior[0, 1] > 0.5
    assert found[0].uptake.shape == (1,)
    assert found[0].uptake[0] < 0.3


def test_numbers_in_common_tell_two_values_apart(encoder: MiniLM) -> None:
    facts = {"weight.latest": "Weight was 71 kg last week.", "weight.change": "Weight rose by 4 kg over 3 months."}
    found = _align([_episode(i, ("At 71 kg the usual dose is right.",), facts) for i in range(4)], encoder)
    assert _uptake(found[0])["weight.latest"] > 2 * _uptake(found[0])["weight.change"]


def test_a_value_stands_before_the_change_that_repeats_it(encoder: MiniLM) -> None:
    facts = {
        "blood_pressure.latest": "Blood pressure 116/72, normal, 8 weeks ago",
        "blood_pressure.change": "Blood pressure fell from 128/80 to 116/72 in 3 months",
    }
    level, move = "At 116/72 the pressure is no reason against it.", "It fell from 128/80, which is what we wanted."
    found = _align([*(_episode(i, (level,), facts) for i in range(6)), _episode(9, (move,), facts)], encoder)
    assert _uptake(found[0])["blood_pressure.latest"] > 2 * _uptake(found[0])["blood_pressure.change"]
    assert _uptake(found[-1])["blood_pressure.change"] > 2 * _uptake(found[-1])["blood_pressure.latest"]


def test_a_sentence_that_most_receive_is_read_for_each(encoder: MiniLM) -> None:
    """To the reward it is general, as most receive it; of each of them it is a fact."""
    usual = ("As you have no asthma, ibuprofen is fine.", "Drink enough water.")
    others = ("Asthma makes ibuprofen risky for you.", "Drink enough water.")
    healthy = [replace(_episode(i, usual, {"no.asthma": NO_ASTHMA}), specific=(False, False)) for i in range(12)]
    asthmatic = [
        replace(_episode(20 + i, others, {"condition.asthma": ASTHMA}), specific=(True, False)) for i in range(6)
    ]
    found = _align([*healthy, *asthmatic], encoder)
    assert min(_uptake(a)["no.asthma"] for a in found[:12]) > 0.5
    assert all(a.posterior[1, -1] == 1.0 for a in found), "what everybody receives rests on nothing"


def test_a_fact_that_few_have_does_not_explain_what_many_receive(encoder: MiniLM) -> None:
    """Two patients take a rare medicine; by chance both were advised on smoking, as many others were."""
    advice = ("Smoking does not matter for a single emergency dose.",)
    smokes = {"smoking": "Smokes"}
    rare = {"medicine.code:1": "Nicotine 2 MG chewing gum prescribed 3 years ago, supply ended"}
    many = [_episode(i, advice, smokes) for i in range(60)]
    silent = [_episode(100 + i, ("Take it within five days.",), {"age": "Age 31"}) for i in range(60)]
    found = _align([*many, *silent, *(_episode(200 + i, advice, smokes | rare) for i in range(2))], encoder)
    assert _uptake(found[-1])["smoking"] > _uptake(found[-1])["medicine.code:1"]


@pytest.mark.parametrize(
    ("sentence", "key", "against"),
    [
        ("Asthma makes anti-inflammatories risky.", "no.asthma", True),
        ("As you have no asthma, ibuprofen is fine.", "no.asthma", False),
        ("As you have no asthma, ibuprofen is fine.", "condition.asthma", True),
        ("You never had asthma, so ibuprofen is fine.", "condition.asthma", True),
        ("You don't have asthma, so ibuprofen is fine.", "condition.asthma", True),
        ("Do not take ibuprofen with your asthma.", "condition.asthma", False),
        ("Asthma makes anti-inflammatories risky.", "condition.asthma", False),
        ("Your kidneys are healthy on record.", "no.kidney_disease", False),
        ("Your kidney disease rules ibuprofen out.", "no.kidney_disease", True),
        ("No haemoglobin is known.", "haemoglobin.latest", False),
        ("Asthma makes it risky.", "condition.code:195967001", False),
    ],
)
def test_a_sentence_contradicts_what_it_denies(sentence: str, key: str, against: bool) -> None:
    assert contradicts(sentence, key) is against


def test_asthma_and_no_asthma_are_not_confused(encoder: MiniLM) -> None:
    """Their vectors are nearly equal, so without the sign each sentence would rest on whichever is on record."""
    reply = {True: "Asthma makes ibuprofen risky for you.", False: "As you have no asthma, ibuprofen is fine."}
    fact = {True: {"condition.asthma": ASTHMA}, False: {"no.asthma": NO_ASTHMA}}
    right = [_episode(i, (reply[bool(i % 2)],), fact[bool(i % 2)]) for i in range(12)]
    wrong = [_episode(12 + i, (reply[not i % 2],), fact[bool(i % 2)]) for i in range(2)]
    alignment = align_replies([*right, *wrong], encoder)
    assert all(a.uptake[0] > 0.5 for a in alignment.replies[:12])
    assert all(a.uptake[0] < 0.05 for a in alignment.replies[12:])
    assert alignment.counts.contradicting == 2


@pytest.mark.parametrize(
    ("sentence", "readable"),
    [("Yes.", False), ("Normal", False), ("120/80", False), ("", False), ("您的血红蛋白偏低，请补充铁剂。", False),
     ("请服用 iron 片。", False), ("Take iron.", True), ("Évitez l'ibuprofène.", True)],
)  # fmt: skip
def test_what_has_fewer_than_two_words_or_another_script_is_not_read(sentence: str, readable: bool) -> None:
    assert is_readable(sentence) is readable


@pytest.mark.parametrize("reply", [(), ("Yes.",), ("您的血红蛋白偏低，请补充铁剂。",)])
def test_a_reply_that_cannot_be_read_takes_up_nothing(encoder: MiniLM, reply: tuple[str, ...]) -> None:
    alignment = align_replies([_episode(i, reply, {"no.asthma": NO_ASTHMA}) for i in range(3)], encoder)
    assert all(a.uptake.tolist() == [0.0] for a in alignment.replies)
    assert alignment.counts.read == 0
    assert alignment.counts.unreadable == 3 * len(reply)


def test_a_template_pasted_to_everyone_takes_up_nothing(encoder: MiniLM) -> None:
    pasted = ("As you have no asthma, ibuprofen is fine.",)
    alignment = align_replies([_episode(i, pasted, {"no.asthma": NO_ASTHMA}) for i in range(12)], encoder)
    assert alignment.counts.template == 12
    assert all(a.uptake.tolist() == [0.0] for a in alignment.replies)


def test_a_topic_of_one_episode_is_read_by_likeness_alone(encoder: MiniLM) -> None:
    facts = {"condition.asthma": ASTHMA, "smoking": "Has never smoked.", "weight.latest": "Weight was 71 kg."}
    one = _episode(99, ("Because of your asthma, ask before a flight.",), facts, "Can I fly next week?")
    found = _uptake(_align([*LITTLE, one], encoder)[-1])
    assert found["condition.asthma"] == max(found.values()) > 0.2


def test_nothing_to_read_gives_nothing(encoder: MiniLM) -> None:
    alignment = align_replies([], encoder)
    assert alignment.replies == ()
    assert alignment.counts.read == 0


def test_a_measured_likelihood_decides_between_equal_sources(encoder: MiniLM) -> None:
    facts = {"medicine.code:1": "Takes iron tablets.", "medicine.code:2": "Takes iron capsules."}
    episodes = [_episode(i, ("Go on with the iron.",), facts) for i in range(4)]
    measured = {e.episode_id: np.array([[2.0, -2.0]]) for e in episodes}
    found = align_replies(episodes, encoder, evidence=measured).replies[0]
    assert found.uptake[0] > 10 * found.uptake[1]


def test_wordings_that_differ_by_their_numbers_are_one_cluster(encoder: MiniLM) -> None:
    clusters = cluster_sentences(["Your weight is 71 kg.", "Your weight is 80 kg.", "Drink enough water."], encoder)
    assert clusters.wordings == ("Your weight is # kg.", "Drink enough water.")
    assert clusters.find("Your weight is 99.5 kg.") == 0


@given(order=st.permutations(range(20)), slots=st.integers(0, 8))
@settings(max_examples=15, deadline=None)
def test_every_sentence_has_one_source_or_none_in_any_order_of_episodes(order: list[int], slots: int) -> None:
    encoder = _ENCODER
    straight = align_replies(LITTLE[:20], encoder, slots).replies
    turned = align_replies([LITTLE[i] for i in order], encoder, slots).replies
    for place, found in zip(order, turned, strict=True):
        np.testing.assert_allclose(found.posterior.sum(1), 1.0)
        assert ((found.uptake >= 0) & (found.uptake <= 1)).all()
        np.testing.assert_allclose(found.uptake, straight[place].uptake, atol=1e-5)


_ENCODER = MiniLM()
