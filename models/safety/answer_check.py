"""Check a language model's answer before it is shown.

    shown(y) = escalation(flags) + (y if check(y) = ∅ else nothing)

The paper has no safety layer; this one is ours. Red flags are found by rules (models/safety/triage), and their text
comes first (models/safety/escalation.py). An answer is withheld for what it says against the record: a drug among the
allergies, a drug contraindicated in pregnancy or while breastfeeding, a dose of a drug not on the list of medicines,
reassurance beside an escalation or a critical value, a contradicted pinned fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from models.safety.answer_language import is_readable
from models.safety.contradictions import find_contradictions
from models.safety.doses import states_unlisted_dose
from models.safety.drug_names import compile_drug_names, find_cross_reacting_words, find_drug_words
from models.safety.pregnancy_drugs import PregnancyDrugRow, load_rows
from models.safety.reassurance import reassures
from models.safety.recommendations import recommends
from models.safety.triage.red_flag_table import Flag, compile_alternatives
from models.safety.triage.rules import TriageContext, find_gravest_label
from models.safety.triage.text_normalization import split_sentences
from models.safety.triage.text_readings import list_readings

#: A sentence on the time after birth says nothing of the drug now, unless it says that too.
_AFTER_BIRTH = compile_alternatives(
    "after birth | after the birth | after delivery | after you give birth | after your baby is born | postpartum | "
    "once ... baby is born | 产后 | 分娩后 | 生完"
)
_NOW = compile_alternatives("now | today | tonight | already | 现在 | 今天 | 今晚")


@dataclass(frozen=True, slots=True)
class RecordedRisks:
    """What else of the record an answer must respect.

    ``medicines`` are the open ones as the record names them; None is unknown, and doses are then not checked.
    ``critical`` is whether a recorded value is beyond a critical limit.
    """

    medicines: tuple[str, ...] | None = None
    critical: bool = False


def check_answer(
    answer: str,
    allergies: Sequence[str],
    flags: Iterable[Flag] = (),
    language: str = "en",
    known: TriageContext | None = None,
    risks: RecordedRisks | None = None,
) -> tuple[str, ...]:
    """Find what is wrong with an answer; empty if it may be shown.

    ``foreign_language`` (a part is in none that is read here, models/safety/answer_language.py),
    ``allergy`` (suggests a drug that an allergy speaks against), ``drug_in_pregnancy``, ``drug_while_breastfeeding``,
    ``unlisted_dose``, ``plays_down`` (an escalation), ``plays_down_value`` (a critical value), ``pregnancy``,
    ``gestational_week`` and ``no_allergy`` (contradict the pinned facts, models/safety/contradictions.py).
    ``allergies`` are names as the record gives them (models.prompt.sentences.pinned.list_drug_allergies), ``flags`` the
    question's, ``known`` what the record says of pregnancy. An answer is read in both languages whatever
    ``language`` says, as written and with its disguises undone (models/safety/triage/text_readings.py).
    """
    flagged = find_gravest_label(flags) != "routine"
    facts = (allergies, flagged, known, risks or RecordedRisks())
    findings = (_check_reading(text, *facts) for text in list_readings(answer))
    unread = () if is_readable(answer) else ("foreign_language",)
    return tuple(dict.fromkeys((*unread, *(finding for found in findings for finding in found))))


def _check_reading(
    text: str, allergies: Sequence[str], flagged: bool, known: TriageContext | None, risks: RecordedRisks
) -> Iterator[str]:
    if any(_suggests(text, name) for name in allergies):
        yield "allergy"
    if known is not None:
        yield from _find_contraindicated(text, known, risks.medicines or ())
    if risks.medicines is not None and states_unlisted_dose(text, risks.medicines):
        yield "unlisted_dose"
    if (flagged or risks.critical) and reassures(text):
        yield "plays_down" if flagged else "plays_down_value"
    known = known or TriageContext()
    yield from find_contradictions(text, allergies, known.pregnant, known.gestational_weeks)


def _suggests(answer: str, allergy: str) -> bool:
    """Whether the answer recommends the drug, or names it without forbidding it."""
    pattern = compile_drug_names(find_cross_reacting_words(allergy))
    return any(recommends(sentence, pattern) for sentence in split_sentences(answer))


def _find_contraindicated(text: str, known: TriageContext, medicines: Sequence[str]) -> Iterator[str]:
    """The states in which a drug that the answer suggests is contraindicated."""
    state = (known.pregnant, known.gestational_weeks, known.postpartum_weeks)
    rows = [row for row in load_rows() if row.applies(*state) and row.names.search(text)]
    for sentence in split_sentences(text) if rows else ():
        for row in rows:
            later = row.reason.state == "pregnancy" and _AFTER_BIRTH.search(sentence) and not _NOW.search(sentence)
            if later or not row.names_drug(sentence) or not recommends(sentence, row.names):
                continue
            if known.pregnant is None and _is_listed(row, medicines):
                continue
            yield "drug_in_pregnancy" if row.reason.state == "pregnancy" else "drug_while_breastfeeding"


def _is_listed(row: PregnancyDrugRow, medicines: Sequence[str]) -> bool:
    """Whether one of the medicines is of the row's class: prescribed by somebody who knew of a pregnancy."""
    return any(row.names.search(word) for name in medicines for word in find_drug_words(name))
