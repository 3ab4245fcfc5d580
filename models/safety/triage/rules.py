"""Find the red flags of a patient's message, before any language model is asked.

    flags(m, c) = { s : a rule of s matches in a sentence of m, in context c, and counts (assertion_status) }
                  ∪ { like a warning sign: the classifier flags m and no rule found a sign (classifier_flag) }

The paper has no triage. Ours is a table that a clinician reviews (template_files/red_flags.yaml, after CDC's "Hear
Her" urgent maternal warning signs and the obstetric emergencies around them) and this small deterministic reader.
English and Chinese rules both run on every message, whatever its stated language. Missing an emergency is worse than a
false alarm: where the words do not decide, a sign counts.

Run: ``pmlm triage FILE``, ``python -m benchmarks.triage``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.encoder import Encoder
from models.patient.gestational_age import read_pregnancy_state
from models.safety.text.number_words import convert_number_words
from models.safety.triage.assertion_status import MessageSentence
from models.safety.triage.classifier_flag import (
    LIKENESS_FLAG,
    SENTENCE_MARGIN,
    SURE_MARGIN,
    compute_margins,
    forget_texts,
    split_long_message,
)
from models.safety.triage.code_switching import gloss_mixed
from models.safety.triage.kick_counts import flag_kick_counts
from models.safety.triage.quotation_filter import remove_quotations
from models.safety.triage.red_flag_table import Flag, Label, Sign, load_cue, load_signs, load_speller
from models.safety.triage.text_normalization import normalize_text, split_sentences
from models.safety.triage.text_readings import list_readings
from models.safety.triage.vital_signs import flag_vital_signs
from models.schema import FeatureRow
from models.templates import CHINESE

MOST_READ = 20_000
#: The table's week of ``baby_movements``.
KICKS_FROM_WEEK = 20
#: CDC's warning signs hold up to a year after birth.
POSTPARTUM_WEEKS = 52
_WEEKS = re.compile(
    r"\b(\d{1,2})\s*(?:weeks?|wks?)\b(?!\s*(?:postpartum|post partum|old|after|since|ago))|孕\s*(\d{1,2})\s*周"
)


@dataclass(frozen=True, slots=True)
class TriageContext:
    """What the record says of the patient's pregnancy; None is unknown."""

    pregnant: bool | None = None
    gestational_weeks: int | None = None
    postpartum_weeks: int | None = None


def read_context(row: FeatureRow, as_of: datetime) -> TriageContext:
    """Read the triage context from a feature row."""
    state = read_pregnancy_state(row, as_of)
    return TriageContext(state.pregnant, state.weeks, state.postpartum_weeks)


def find_gravest_label(flags: Iterable[Flag]) -> Label:
    """The gravest label among flags; ``routine`` for none."""
    found = {f.label for f in flags}
    return "emergency" if "emergency" in found else "urgent" if "urgent" in found else "routine"


def find_red_flags(
    text: str, language: str = "en", context: TriageContext | None = None, encoder: Encoder | None = None
) -> tuple[Flag, ...]:
    """Find the red flags of a message: one per sign, gravest first.

    Empty for a routine message. Any text is accepted; of one longer than ``MOST_READ``, five times what the endpoint
    accepts, its two ends are read. It is read as written and with its disguises undone (``text_readings``).

    ``language`` only says which rules are read first: both are, so a message in the other language is not missed.
    With ``encoder`` the classifier reads English too (models/safety/triage/classifier_flag.py); it adds flags, never
    takes one away.
    """
    if len(text) > MOST_READ:
        text = f"{text[: MOST_READ // 2]}\n{text[-MOST_READ // 2 :]}"
    known = context or TriageContext()
    plain = list_readings(text)
    readings = tuple(dict.fromkeys((*plain, *map(gloss_mixed, plain))))
    found: dict[str, Flag] = {}
    for reading in readings:
        for flag in _flag_reading(convert_number_words(reading), language, known):
            if flag.sign not in found or flag.label == "emergency":
                found[flag.sign] = flag
    if not found and _is_like_a_sign((text, *plain[1:]), known, encoder):
        found[LIKENESS_FLAG.sign] = LIKENESS_FLAG
    return tuple(sorted(found.values(), key=lambda f: (f.label != "emergency", f.sign)))


def _flag_reading(plain: str, language: str, context: TriageContext) -> Iterable[Flag]:
    """The rules' flags of one reading, those of ``language`` first."""
    unquoted = remove_quotations(plain)
    for rules in sorted(("en", "zh"), key=lambda r: r != language):
        body = load_speller().mend(unquoted) if rules == "en" else unquoted
        if rules == "en" or CHINESE.search(body):
            yield from _flag_sentences(body, rules, context)


def _is_like_a_sign(texts: Sequence[str], context: TriageContext, encoder: Encoder | None) -> bool:
    """Whether the classifier flags a reading of the message, or a sentence of a long one."""
    sentences = split_long_message(texts[0])
    try:
        whole = _exceeds(texts, 0.0, context, encoder)
        return whole or _exceeds(sentences, SENTENCE_MARGIN, context, encoder)
    finally:
        forget_texts(encoder, (*texts[1:], *sentences))  # the message itself is its caller's to forget


def _exceeds(texts: Sequence[str], least: float, context: TriageContext, encoder: Encoder | None) -> bool:
    """Whether a text exceeds the margin, surely where a rule's words are there and do not count."""
    for text, margin in zip(texts, compute_margins(texts, encoder), strict=True):
        if margin < least:
            continue
        plain = convert_number_words(normalize_text(text))
        if _matches_ruled_out_sign(plain, context):
            continue
        if margin >= SURE_MARGIN or not _mentions_sign(plain, context):
            return True
    return False


def _flag_sentences(body: str, language: str, context: TriageContext) -> Iterable[Flag]:
    known = _update_context(body, language, context)
    parts = split_sentences(body)
    if known.pregnant is not False and (known.gestational_weeks or KICKS_FROM_WEEK) >= KICKS_FROM_WEEK:
        yield from flag_kick_counts(parts)
    for index in range(len(parts)):
        sentence = MessageSentence(parts, index, language)
        if bool(CHINESE.search(sentence.text)) == (language == "zh"):
            yield from flag_vital_signs(sentence)
        for sign in load_signs(language):
            if _applies(sign, known) and _matches(sign, sentence):
                yield sign.flag


def _matches_ruled_out_sign(plain: str, context: TriageContext) -> bool:
    """Whether the context rules a matching sign out (no movements at week 12)."""
    for language in ("en", "zh"):
        body = load_speller().mend(plain) if language == "en" else plain
        known, parts = _update_context(body, language, context), split_sentences(body)
        for index in range(len(parts)):
            sentence = MessageSentence(parts, index, language)
            spoken = bool(CHINESE.search(sentence.text)) == (language == "zh")
            if spoken and any(_is_ruled_out(s, known) and _matches(s, sentence) for s in load_signs(language)):
                return True
    return False


def _mentions_sign(plain: str, context: TriageContext) -> bool:
    """Whether a sign that may count is mentioned, in words that do not count."""
    for language in ("en", "zh"):
        body = load_speller().mend(plain) if language == "en" else plain
        known, parts = _update_context(body, language, context), split_sentences(body)
        for sign in load_signs(language):
            if _applies(sign, known) and any(_contains_words_of(sign, part) for part in parts):
                return True
    return False


def _contains_words_of(sign: Sign, sentence: str) -> bool:
    if sign.unless is not None and sign.unless.search(sentence):
        return False
    return any(all(part.may_match(sentence) and part.regex.search(sentence) for part in rule) for rule in sign.rules)


def _update_context(body: str, language: str, context: TriageContext) -> TriageContext:
    """Update the context by what the message says of pregnancy, newer than the record."""
    stated = _WEEKS.search(body)
    weeks = int(stated[1] or stated[2]) if stated else context.gestational_weeks
    not_pregnant = bool(load_cue(language, "not_pregnant").search(body))
    born = bool(load_cue(language, "postpartum").search(body))
    pregnant = context.pregnant
    if load_cue(language, "pregnant").search(body) and not not_pregnant and not born:
        pregnant = True
    elif pregnant is None and (not_pregnant or born):
        pregnant = False
    return TriageContext(pregnant, weeks, 0 if born else context.postpartum_weeks)


def _applies(sign: Sign, known: TriageContext) -> bool:
    if known.gestational_weeks is not None and known.gestational_weeks < sign.weeks_from:
        return False
    postpartum = known.postpartum_weeks is not None and known.postpartum_weeks <= POSTPARTUM_WEEKS
    if sign.who == "pregnant":
        return known.pregnant is True
    if sign.who == "postpartum":
        return postpartum
    return sign.who == "anyone" or postpartum or known.pregnant is not False  # either: unknown counts


def _is_ruled_out(sign: Sign, known: TriageContext) -> bool:
    """Whether what is known, not what is unknown, keeps a sign from counting."""
    early = known.gestational_weeks is not None and known.gestational_weeks < sign.weeks_from
    return early or (known.pregnant is False and not _applies(sign, known))


def _matches(sign: Sign, sentence: MessageSentence) -> bool:
    if sign.unless is not None and sign.unless.search(sentence.text):
        return False
    found = (sentence.match(rule) for rule in sign.rules)
    return any(f is not None and sentence.counts(f, sign.lasting) for f in found)
