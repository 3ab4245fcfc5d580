"""Quoted words of a leaflet or form count for nothing; the patient's own count."""

from __future__ import annotations

import pytest

from models.safety.triage.quotation_filter import remove_quotations
from models.safety.triage.rules import find_gravest_label, find_red_flags
from models.safety.triage.text_normalization import normalize_text


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ('The card says "severe pain or heavy bleeding". May I swim?', 'the card says "". may i swim?'),
        ("Book page: 'clots and fainting' - is it old?", 'book page: "" - is it old?'),
        ("册子上写“剧烈头痛、眼花”，能多给我一本吗", '册子上写"",能多给我一本吗'),
        ('{"title": "seizure", "message": "I am bleeding"}', '{"title": "", "message": "i am bleeding"}'),
    ],
)
def test_a_leaflets_words_are_taken_out(message: str, read: str) -> None:
    assert remove_quotations(normalize_text(message)) == read


@pytest.mark.parametrize(
    "message",
    [
        'I said "I am bleeding heavily" and nobody came',
        "My baby's not moved since yesterday and it's week 33",
        'He has "stopped moving", as my mother puts it',
    ],
)
def test_her_own_words_stay(message: str) -> None:
    assert remove_quotations(normalize_text(message)) == normalize_text(message)


def test_a_sign_outside_of_the_quotation_counts() -> None:
    message = 'The leaflet says "call if you have a headache". I have chest pain right now.'
    assert find_gravest_label(find_red_flags(message)) == "emergency"
    assert (
        find_gravest_label(find_red_flags('The leaflet says "call if you have chest pain". May I have a second copy?'))
        == "routine"
    )


@pytest.mark.parametrize(
    "message",
    [
        'My wife says "I can\'t breathe and my chest hurts"',
        '{"symptom": "heavy bleeding, soaking a pad every ten minutes"}',
        'Input: "my baby has not moved since yesterday, 33 weeks"',
        "她说“我喘不上气，胸口痛”",
        "Heavy bleeding at 8 weeks, soaked a pad in ten minutes",
    ],
)
def test_what_a_person_or_a_form_says_of_her_is_told(message: str) -> None:
    assert find_gravest_label(find_red_flags(message)) == "emergency"
