"""Look-alikes of Unicode's standard 39, marks and hidden characters are folded; other languages stay."""

from __future__ import annotations

import pytest
from confusable_homoglyphs.confusables import confusables_data

from models.safety.text.look_alikes import HIDDEN, fold_look_alikes

WORDS = ["chest", "pain", "fever", "bleeding", "dead", "suicide", "moving", "kick", "jump", "quiet", "water", "next"]
WORDS += ["dizzy"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("аspirin", "aspirin"),
        ("аѕріrіn", "aspirin"),
        ("aspirína", "aspirina"),
        ("ｃｈｅｓｔ", "chest"),
        ("c̶h̶e̷s̵t̲", "chest"),
        ("𝖈𝖍𝖊𝖘𝖙", "chest"),
        ("🅲🅷🅴🆂🆃", "chest"),
        ("🇨🇭🇪🇸🇹", "chest"),
        ("ᴄʜᴇsᴛ", "chest"),
        ("CHЕST", "chest"),
        ("c٥ld", "cold"),
        ("Ӏip", "lip"),
        ("ſever", "fever"),
        ("l˛p", "lip"),
        ("١٦٥/١١٢", "165/112"),
        ("胸ロ疼", "胸口疼"),
        ("胸\u0336口\u0336疼", "胸口疼"),
    ],
)
def test_a_look_alike_is_read_as_what_it_looks_like(written: str, read: str) -> None:
    assert fold_look_alikes(written, {"cold", "lip", "fever"}) == read


@pytest.mark.parametrize(
    "text",
    ["боль внизу живота", "πονάει κοιλιά μου", "胸口很疼。喘不上气", "おなかが痛い", "배가 아파요"],
)
def test_words_of_another_language_stay(text: str) -> None:
    assert fold_look_alikes(text, {"pain"}) == text


def test_hidden_characters_stay_marked_until_letters_are_joined() -> None:
    for hidden in "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u2066\u180e\u3164\u034f\u115f\ufe0f\U000e0061":
        assert fold_look_alikes(f"as{hidden}pirin") == f"as{HIDDEN}pirin"
    assert fold_look_alikes("as\x00pirin") == f"as{HIDDEN}pirin"


def test_every_single_confusable_of_a_letter_is_read_as_that_letter() -> None:
    known = set(WORDS)
    listed = {k.strip("\u200e"): [str(e["c"]).strip("\u200e") for e in v] for k, v in confusables_data.items()}
    for letter in "abcdefghijklmnopqrstuvwxyz":
        word = next(w for w in WORDS if letter in w)
        likes = {c for form in (letter, letter.upper()) for c in listed.get(form, ())}
        single = [c for c in likes if len(c) == 1 and not c.isascii()]
        assert not [c for c in single if fold_look_alikes(word.replace(letter, c, 1), known) != word]
