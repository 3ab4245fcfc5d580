"""List the single facts believed of a patient, each under its own key.

    fact = key, text, codes and sources of the entries behind it       (of one ``PatientSummary``)

1. The paper shows no beliefs. A clinician who sees a wrong one names it by its key (``POST /disputes``).
2. A key names a list and a code, a signal, the date that a pregnancy is counted from, or the pregnancy itself.

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.fact_disputes import make_key
from models.patient.bounds import PRELIMINARY
from models.patient.summary import Entry, PatientSummary
from models.templates import sanitize_record_text
from models.vocabulary import SIGNALS

_CODES = {signal.name: tuple(signal.codes) for signal in SIGNALS}


@dataclass(frozen=True, slots=True)
class PatientFact:
    """One fact; ``belief`` is the list of ``pmlm patient`` that it is in."""

    key: str
    group: str
    belief: str
    text: str
    codes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def list_facts(summary: PatientSummary) -> Iterator[PatientFact]:
    """Yield every fact that can be called wrong; what is disputed already is none."""
    if summary.pregnancy_sources:
        yield PatientFact("pregnancy", "pregnancy", "pregnancy", f"pregnant: {summary.pregnant}", (),
                          summary.pregnancy_sources)  # fmt: skip
    if summary.dating is not None and summary.dating.source:
        text = f"{summary.dating.method}, {summary.dating.precision}"
        yield PatientFact("dating", "dating", "dating", text, (), (summary.dating.source,))
    for group, entries in (("allergy", summary.allergies), ("condition", summary.conditions),
                           ("medicine", summary.medicines), ("suspected", summary.suspected)):  # fmt: skip
        belief = {"allergy": "allergies", "suspected": "suspected"}.get(group, f"{group}s")
        yield from (_describe_entry(group, belief, entry) for entry in entries)
    yield from (_describe_entry("entry", "not_current", entry) for entry in summary.not_current if not entry.disputed)
    for signal in summary.signals:
        value = f"{signal.name} {signal.comparator or ''}{signal.value:g} {signal.unit}"
        value = f"{value} ({PRELIMINARY})" if signal.preliminary else value
        sources = (signal.source,) if signal.source else ()
        yield PatientFact(make_key("signal", signal.name), "signal", "signals", value, _CODES[signal.name], sources)


def _describe_entry(group: str, belief: str, entry: Entry) -> PatientFact:
    text = sanitize_record_text(entry.text) or entry.code
    shown = f"{text}: {entry.reason}" if entry.reason else text
    return PatientFact(make_key(group, entry.code), group, belief, shown, (entry.code,),
                       (entry.source,) if entry.source else ())  # fmt: skip
