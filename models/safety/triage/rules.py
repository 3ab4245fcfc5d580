"""Which red flags a patient's message holds: rules over her own words, before any language model is asked.

    flags(m, c) = { s : a rule of s matches in a sentence of m, in context c, and counts
    (models/safety/triage/assertion_status.py) }
                  ∪ { like a warning sign: the classifier says so and no rule found one
                  (models/safety/triage/classifier_flag.py) }

The paper leaves safety aside. Ours is a table that a clinician reviews (templates/red_flags.yaml, after CDC's "Hear
Her" urgent maternal warning signs and the obstetric emergencies around them) and this small deterministic reader of
it. English and Chinese rules both run on every message, whatever its stated language. Missing an emergency is worse
than a false alarm: where the words do not decide, a sign counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from models.encoder import Encoder
from models.patient.gestational_age import pregnancy_state
from models.safety.triage.assertion_status import Sentence
from models.safety.triage.classifier_flag import SURE, alike
from models.safety.triage.number_words import digits
from models.safety.triage.quotation_filter import unquoted
from models.safety.triage.red_flag_table import CHINESE, Flag, Label, Sign, cue, signs, speller
from models.safety.triage.text_normalization import normal, sentences
from models.safety.triage.vital_signs import numbers
from models.schema import FeatureRow

#: CDC's warning signs hold up to a year after birth.
POSTPARTUM_WEEKS = 52
_WEEKS = re.compile(
    r"\b(\d{1,2})\s*(?:weeks?|wks?)\b(?!\s*(?:postpartum|post partum|old|after|since|ago))|孕\s*(\d{1,2})\s*周"
)


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the patient beside her words; None is unknown."""

    pregnant: bool | None = None
    gestational_weeks: int | None = None
    postpartum_weeks: int | None = None


def context_of(row: FeatureRow, as_of: datetime) -> Context:
    """The context that her record gives."""
    state = pregnancy_state(row, as_of)
    return Context(state.pregnant, state.weeks, state.postpartum_weeks)


def label_of(flags: Iterable[Flag]) -> Label:
    """The gravest label among flags; ``routine`` for none."""
    found = {f.label for f in flags}
    return "emergency" if "emergency" in found else "urgent" if "urgent" in found else "routine"


def red_flags(
    text: str, language: str = "en", context: Context | None = None, encoder: Encoder | None = None
) -> tuple[Flag, ...]:
    """The red flags of a message, one a sign, gravest first; empty for a routine one. Any text is accepted.

    ``language`` only says which rules are read first: both are, so a message in the other language is not missed.
    With ``encoder`` the classifier reads English too (models/safety/triage/classifier_flag.py); it adds flags, never
    takes one away.
    """
    plain = digits(normal(text))
    hers = unquoted(plain)
    found: dict[str, Flag] = {}
    for rules in sorted(("en", "zh"), key=lambda r: r != language):
        body = speller().mend(hers) if rules == "en" else hers
        if rules == "en" or CHINESE.search(body):
            for flag in _found(body, rules, context or Context()):
                if flag.sign not in found or flag.label == "emergency":
                    found[flag.sign] = flag
    if not found and not _not_hers(plain, context or Context()):
        like = alike(text, encoder)
        if like is not None and _mentioned(plain, context or Context()):
            like = alike(text, encoder, SURE)
        if like is not None:
            found[like.sign] = like
    return tuple(sorted(found.values(), key=lambda f: (f.label != "emergency", f.sign)))


def _found(body: str, language: str, context: Context) -> Iterable[Flag]:
    told = _told(body, language, context)
    parts = sentences(body)
    for index in range(len(parts)):
        sentence = Sentence(parts, index, language)
        if bool(CHINESE.search(sentence.text)) == (language == "zh"):
            yield from numbers(sentence)
        for sign in signs(language):
            if _applies(sign, told) and _matches(sign, sentence):
                yield sign.flag


def _not_hers(plain: str, context: Context) -> bool:
    """Whether a rule knows the message's sign, which cannot count in her known context: no movements at week 12."""
    for language in ("en", "zh"):
        body = speller().mend(plain) if language == "en" else plain
        told, parts = _told(body, language, context), sentences(body)
        for index in range(len(parts)):
            sentence = Sentence(parts, index, language)
            spoken = bool(CHINESE.search(sentence.text)) == (language == "zh")
            if spoken and any(_ruled_out(s, told) and _matches(s, sentence) for s in signs(language)):
                return True
    return False


def _mentioned(plain: str, context: Context) -> bool:
    """Whether a rule has read a sign that may count in her context, in words that it does not count."""
    for language in ("en", "zh"):
        body = speller().mend(plain) if language == "en" else plain
        told, parts = _told(body, language, context), sentences(body)
        for sign in signs(language):
            if _applies(sign, told) and any(_worded(sign, part) for part in parts):
                return True
    return False


def _worded(sign: Sign, sentence: str) -> bool:
    if sign.unless is not None and sign.unless.search(sentence):
        return False
    return any(all(part.may_match(sentence) and part.regex.search(sentence) for part in rule) for rule in sign.rules)


def _told(body: str, language: str, context: Context) -> Context:
    """The context with what the message itself says of pregnancy, which is newer than the record."""
    stated = _WEEKS.search(body)
    weeks = int(stated[1] or stated[2]) if stated else context.gestational_weeks
    not_pregnant = bool(cue(language, "not_pregnant").search(body))
    born = bool(cue(language, "postpartum").search(body))
    pregnant = context.pregnant
    if cue(language, "pregnant").search(body) and not not_pregnant and not born:
        pregnant = True
    elif pregnant is None and (not_pregnant or born):
        pregnant = False
    return Context(pregnant, weeks, 0 if born else context.postpartum_weeks)


def _applies(sign: Sign, told: Context) -> bool:
    if told.gestational_weeks is not None and told.gestational_weeks < sign.weeks_from:
        return False
    postpartum = told.postpartum_weeks is not None and told.postpartum_weeks <= POSTPARTUM_WEEKS
    if sign.who == "pregnant":
        return told.pregnant is True
    if sign.who == "postpartum":
        return postpartum
    return sign.who == "anyone" or postpartum or told.pregnant is not False  # either: unknown counts


def _ruled_out(sign: Sign, told: Context) -> bool:
    """Whether what is known, not what is unknown, keeps a sign from counting."""
    early = told.gestational_weeks is not None and told.gestational_weeks < sign.weeks_from
    return early or (told.pregnant is False and not _applies(sign, told))


def _matches(sign: Sign, sentence: Sentence) -> bool:
    if sign.unless is not None and sign.unless.search(sentence.text):
        return False
    found = (sentence.match(rule) for rule in sign.rules)
    return any(f is not None and sentence.counts(f, sign.lasting) for f in found)
