"""Letters that are spaced, dotted, cut or stretched are joined to words; plain text stays."""

from __future__ import annotations

import pytest

from models.safety.triage.letter_joining import join_letters


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("c h e s t  p a i n", "chest pain"),
        ("c h e s t p a i n", "chest pain"),
        ("my c.h.e.s.t hurts", "my chest hurts"),
        ("k_i_l_l m-y-s-e-l-f", "kill myself"),
        ("w a n t t o d i e", "want to die"),
        ("as-pirin", "aspirin"),
        ("as pirin", "aspirin"),
        ("che*st", "chest"),
        ("ch|est", "chest"),
        ("as\u200bpirin", "aspirin"),
        ("no\u200bkicks", "no kicks"),
        ("sei\u200bz\u200bu\u200br\u200be", "seizure"),
        ("no\u200bki\u200bcks", "no kicks"),
        ("16\u200b5/112", "165/112"),
        ("heeeelp", "help"),
        ("bleeeding", "bleeding"),
        ("胸 口 很 疼", "胸口很疼"),
        ("自*杀", "自杀"),
        ("自\u200b杀", "自杀"),
    ],
)
def test_cut_words_are_joined(written: str, read: str) -> None:
    assert join_letters(written) == read


@pytest.mark.parametrize(
    "text",
    [
        "the bleeding is not there all day",
        "is it ok? i am 12 weeks, no pain",
        "well in time for my scan at 10 a m",
        "follow up and check up, and/or a call",
        "头晕，没有出血。胸口疼",
        "group b strep, hepatitis b and c",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert join_letters(text) == text
