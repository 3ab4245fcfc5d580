"""Rewrite a reply as another clinician would: other words, another order, typos, omissions.

Every statement stays true: numbers, units and drug names are never touched, a sentence is left out whole, and at least
one sentence on the patient remains.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import groupby

from pipelines.synthetic.portal.replies import ReplySentence, RuleReply

#: Chance that a sentence on the patient is left out, that the general one is, and that a word has a typo.
OMITTED, GENERAL_OMITTED, TYPOS = 0.15, 0.5, 0.03
_PHRASES: tuple[tuple[str, str], ...] = (
    (r"\bhaemoglobin\b", "Hb"),
    (r"\bblood pressure\b", "BP"),
    (r"\bbody mass index\b", "BMI"),
    (r"\bgestational diabetes\b", "GDM"),
    (r"\bpolycystic ovary syndrome\b", "PCOS"),
    (r"\bpre-eclampsia\b", "PET"),
    (r"\bblood clot\b", "thrombosis"),
    (r"\bkidney disease\b", "renal disease"),
    (r"\bkidney test\b", "renal bloods"),
    (r"\bunderactive thyroid\b", "hypothyroidism"),
    (r"\bthyroid level\b", "TSH"),
    (r"\banti-inflammator(y|ies)\b", "NSAIDs"),
    (r"\bepilepsy\b", "seizure disorder"),
    (r"\bhigh blood sugar\b", "raised glucose"),
    (r"\bmood score\b", "PHQ"),
    (r"\btablets\b", "pills"),
    (r"\bmedicines\b", "meds"),
    (r"\bmedicine\b", "medication"),
    (r"\bpregnancy\b", "gestation"),
    (r"\bweeks\b", "wks"),
    (r"\bplease\b", "pls"),
    (r"\bwe will\b", "we'll"),
    (r"\byou have\b", "you've got"),
    (r"\byou are\b", "you're"),
    (r"\bdo not\b", "don't"),
    (r"\bmust not\b", "mustn't"),
    (r"\bstart\b", "begin"),
    (r"\bavoid\b", "stay off"),
    (r"\bkeep taking\b", "carry on with"),
    (r"\bgo on with\b", "continue"),
    (r"\bis fine\b", "looks OK"),
    (r"\bis low\b", "is on the low side"),
    (r"\bis high\b", "is up"),
    (r"\bis safe\b", "is all right"),
    (r"\badvised\b", "recommended"),
    (r"\bon record\b", "in your notes"),
    (r"\bimmediately\b", "straight away"),
    (r"^With\b", "Given"),
    (r"\bit is\b", "it's"),
    (r"\bthat is\b", "that's"),
    (r"\bcannot\b", "can't"),
    (r"\bis enough\b", "will do"),
    (r"\bmay\b", "can"),
    (r"\buntil\b", "till"),
    (r"\bwomen\b", "patients"),
    (r"\bsmoking\b", "tobacco"),
    (r"\bevery day\b", "daily"),
    (r"\bbring on\b", "trigger"),
    (r"\bworks\b", "acts"),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), words) for pattern, words in _PHRASES)
_REASON_FIRST = re.compile(r"^(?:Because|Since|As) (?!of )(?P<why>[^,]+), (?P<what>[^,]+)\.$")
_REASON_THEN = re.compile(r"^(?P<why>[^,]+), so (?P<what>[^,]+)\.$")
_OPENINGS = frozenset({"Your", "You", "You've", "You're", "The", "A", "An", "This", "It", "With", "At", "In", "No"})
#: Endings of drugs' names, so that none is mistyped.
_PROTECTED = re.compile(
    r"\d|(?:ol|ine|one|ide|pril|azole|ate|parin|formin|riptan|profen|toin|illin|prim|cin|al|en|tal)\b", re.I
)


def rewrite_reply(reply: RuleReply, rng: random.Random) -> RuleReply:
    """Rewrite the reply in the second writer's words; its facts are those of the sentences that remain."""
    own = [s for s in reply.sentences if s.facts]
    general = [s for s in reply.sentences if not s.facts and rng.random() >= GENERAL_OMITTED]
    remaining = [s for s in own if rng.random() >= OMITTED] or own[:1]
    by_facts = [list(group) for _, group in groupby(remaining, key=lambda s: s.facts)]
    rng.shuffle(by_facts)
    written = [s for group in by_facts for s in group] + general
    sentences = tuple(replace(s, text=_rewrite_sentence(s.text)) for s in written)
    return replace(reply, sentences=sentences, complete=reply.complete and len(remaining) == len(own))


def mistype_reply(reply: RuleReply, rng: random.Random) -> RuleReply:
    """Put the second writer's typos into a rewritten reply."""
    mistyped = [" ".join(_mistype(word, rng) for word in s.text.split(" ")) for s in reply.sentences]
    return replace(reply, sentences=tuple(map(_set_text, reply.sentences, mistyped)))


def _set_text(sentence: ReplySentence, text: str) -> ReplySentence:
    return replace(sentence, text=text)


def _rewrite_sentence(text: str) -> str:
    for pattern, words in _COMPILED:
        text = pattern.sub(words, text)
    text = _turn_around(text)
    return text[:1].upper() + text[1:]


def _turn_around(text: str) -> str:
    """Put the reason last where it came first, and the other way round."""
    if match := _REASON_FIRST.match(text):
        return f"{match['what']}, given that {match['why']}."
    if match := _REASON_THEN.match(text):
        first, _, rest = match["why"].partition(" ")
        return f"{match['what']} - {first.lower() if first in _OPENINGS else first} {rest}."
    return text


def _mistype(word: str, rng: random.Random) -> str:
    """Swap two letters of a long word now and then; never of a number, a unit or a drug."""
    if rng.random() >= TYPOS or len(word) < 6 or not word.isalpha() or _PROTECTED.search(word):
        return word
    at = rng.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
