"""Ways of saying a warning sign that strangers' messages showed to be missed, and harmless words like them.

The sentences are new ones of each class; the measured rounds are in examples/triage.jsonl.
"""

from __future__ import annotations

import pytest

from models.encoder import MiniLM
from models.safety.triage.rules import TriageContext, find_gravest_label, find_red_flags

AT_32 = TriageContext(pregnant=True, gestational_weeks=32)
AFTER = TriageContext(pregnant=False, postpartum_weeks=6)


def _label(message: str, known: TriageContext = AT_32) -> str:
    return find_gravest_label(find_red_flags(message, context=known))


@pytest.mark.parametrize(
    "message",
    [
        "my blood pressure was high yesterday",
        "BP was raised at the pharmacy on Friday",
        "The nurse said my pressure is a bit high",
        "Blood pressure has been going up all week",
        "昨天血压有点高",
        "产检说我血压偏高",
    ],
)
def test_a_high_pressure_without_numbers_is_urgent_in_pregnancy_and_after(message: str) -> None:
    assert _label(message) == "urgent"
    assert _label(message, AFTER) == "urgent"


@pytest.mark.parametrize(
    "message",
    [
        "my blood pressure was fine yesterday",
        "what blood pressure would be too high for me?",
        "my mum had high blood pressure",
        "my blood pressure is not high",
        "血压正常",
    ],
)
def test_a_normal_pressure_or_a_question_about_one_is_routine(message: str) -> None:
    assert _label(message) == "routine"


@pytest.mark.parametrize(
    "message",
    [
        "It is as if midges dance in front of my eyes all afternoon",
        "there is a veil over my left eye",
        "a shimmer round everything I look at",
        "眼前像有一层纱",
        "看东西总有小虫在飞",
    ],
)
def test_a_metaphor_of_sight_is_escalated(message: str) -> None:
    assert _label(message) != "routine"


@pytest.mark.parametrize(
    "message",
    [
        "By the time you read this I will be gone. Look after my girls.",
        "This is my last message, I am sorry",
        "Tell my son I loved him",
        "I have saved up enough pills for tonight",
        "I keep looking at the bridge and wish I could sleep forever",
        "I stand on the balcony with him and think of letting go",
        "以后不用联系我了，谢谢大家照顾",
        "药攒够了，今晚就睡",
    ],
)
def test_a_goodbye_note_is_an_emergency(message: str) -> None:
    assert _label(message, AFTER) == "emergency"


@pytest.mark.parametrize(
    "message",
    [
        "This is my last appointment before my holiday, goodbye until May",
        "Everything glitters, we painted the nursery",
        "We watched the fireworks from the balcony",
        "I wrote letters for her memory box",
        "My boss is a pain and I am handing in my notice",
        "我们下个月搬家，谢谢大家照顾",
    ],
)
def test_harmless_words_like_them_are_routine(message: str) -> None:
    assert _label(message) == "routine"


@pytest.mark.parametrize(
    ("message", "known"),
    [
        ("not so much as a wriggle from her since breakfast", AT_32),
        ("my waters went and they look like pea soup", AT_32),
        ("宝宝 today 完全 no movement", AT_32),
        ("我 bleeding 很多, pad 都 soaked", AFTER),
    ],
)
def test_other_words_for_a_sign_are_read(message: str, known: TriageContext) -> None:
    assert _label(message, known) == "emergency"


def test_a_sign_buried_in_a_long_message_is_found() -> None:
    encoder = MiniLM()
    chat = "The pram came on Monday. My mum arrives on Friday. We painted the cot white. "
    message = (
        f"{chat * 2}Also my left foot has gone to wood and I keep dropping the cup since lunch. Which bag do I pack?"
    )
    assert find_gravest_label(find_red_flags(message, context=AT_32, encoder=encoder)) != "routine"
    assert (
        find_gravest_label(find_red_flags(f"{chat * 2}Which bag do I pack?", context=AT_32, encoder=encoder))
        == "routine"
    )
    assert not [text for text in encoder._vectors if text != message and text in message]
