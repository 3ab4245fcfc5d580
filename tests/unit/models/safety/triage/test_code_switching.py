"""A sentence that mixes Chinese and English is read in one of them; others stay."""

from __future__ import annotations

import pytest

from models.safety.triage.code_switching import gloss_mixed


@pytest.mark.parametrize(
    ("mixed", "glossed"),
    [
        ("宝宝 since yesterday 一直 no kicks", "baby since yesterday all day no kicks"),
        ("chest 好痛", "chest severe pain"),
        ("pad十分钟就soaked", "pad 十 minutes 就 soaked"),
    ],
)
def test_a_mixed_sentence_is_glossed(mixed: str, glossed: str) -> None:
    assert gloss_mixed(mixed) == glossed


@pytest.mark.parametrize("text", ["胸口很疼", "chest pain", "老师的ppt上写着出血", "妹妹进icu了", "吃d3吗"])
def test_a_sentence_in_one_language_stays(text: str) -> None:
    assert gloss_mixed(text) == text
