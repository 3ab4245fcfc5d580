"""Sum up what PMLM believes of a patient, and from which entries.

    summary = pregnancy, allergies, conditions, medicines, signals     (of one feature row)

1. The paper shows prompts, never the beliefs behind them. A clinician has to see a wrong belief before a prompt says
   it, so everything a prompt may state is listed here in the record's own terms.
2. ``suspected`` and ``not_current`` are on the record too and stated as such; ``unmapped`` names entries without a code
   that PMLM reads.

Run: ``pmlm patient PATIENT``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from models.fact_disputes import StatedDispute, is_disputed, list_groups, make_key, strip_mark
from models.feature_row import read_number, read_text, read_texts, read_time, read_times
from models.patient.bounds import is_preliminary, read_comparator
from models.patient.currency import DEFAULT_RULE, CurrencyRule, RecordEntry, list_conditions, list_medicines
from models.patient.gestational_age import Dating, PregnancyState, read_pregnancy_state
from models.patient.pregnancy_statements import is_week_code
from models.schema import FeatureRow
from models.vocabulary import SIGNALS, find_concept

#: Systems of codes that only their own clinic understands.
_LOCAL = ("LOCAL", "TEXT")


@dataclass(frozen=True, slots=True)
class Entry:
    """A condition, medicine or allergy of the record; ``age_days`` since it began, None where it has no date.

    ``reason`` says in words why it is not current, and is empty for one that is. ``disputed`` is the day on which a
    clinician called it wrong.
    """

    code: str
    text: str
    age_days: float | None
    source: str | None
    concept: str | None = None
    reason: str = ""
    disputed: date | None = None


@dataclass(frozen=True, slots=True)
class SignalValue:
    """The latest value of a signal; ``comparator`` where only a bound was measured.

    ``preliminary``: the laboratory has not verified it yet.
    """

    name: str
    value: float
    unit: str
    comparator: str | None
    age_days: float | None
    source: str | None
    preliminary: bool = False


@dataclass(frozen=True, slots=True)
class DisputedFact:
    """A fact that a clinician called wrong on a day; ``correction`` is what she wrote instead, de-identified.

    ``stands``: a record has stated it again since, or it is an allergy, which a dispute never removes.
    """

    key: str
    on: date
    stands: bool
    correction: str | None = None


@dataclass(frozen=True, slots=True)
class PatientSummary:
    """The beliefs about one patient; a list is empty where the record has nothing.

    Where weeks are not exactly known ``gestational_age_days`` and ``postpartum_range`` are the least and the greatest.
    ``overdue``: a pregnancy should have ended, and its end is not on record.
    """

    as_of: datetime
    pregnant: str
    gestational_weeks: int | None
    gestational_days: int | None
    dating: Dating | None
    postpartum_weeks: int | None
    gestational_age_days: tuple[int, int] | None = None
    postpartum_range: tuple[int, int] | None = None
    multiple: bool = False
    overdue: bool = False
    pregnancy_sources: tuple[str, ...] = ()
    allergies: list[Entry] = field(default_factory=list)
    conditions: list[Entry] = field(default_factory=list)
    medicines: list[Entry] = field(default_factory=list)
    signals: list[SignalValue] = field(default_factory=list)
    suspected: list[Entry] = field(default_factory=list)
    not_current: list[Entry] = field(default_factory=list)
    unmapped: list[Entry] = field(default_factory=list)
    disputed: list[DisputedFact] = field(default_factory=list)


DISPUTED = "disputed by a clinician"
#: Why an entry is not current, in words.
_REASONS = {
    "": "",
    "supply_ended": "its stated supply has ended",
    "not_renewed": "not renewed since it was last prescribed",
    "acute_undated": "an acute condition on record without a date",
    "acute_course_over": "an acute condition after its usual course, not noted again",
}


def summarize_patient(
    row: FeatureRow,
    as_of: datetime,
    rule: CurrencyRule = DEFAULT_RULE,
    disputes: Sequence[tuple[StatedDispute, str | None]] = (),
) -> PatientSummary:
    """The beliefs that a feature row supports as of ``as_of``.

    ``rule`` says what is current; ``disputes`` are the facts that were called wrong, each with a correction or None.
    """
    state = read_pregnancy_state(row, as_of)
    entries = {
        "allergy": _list_entries(row, "allergy", as_of),
        "condition": [_settle(_build_entry(e, as_of), state) for e in list_conditions(row, as_of, rule)],
        "medicine": [_build_entry(entry, as_of) for entry in list_medicines(row, as_of, rule)],
        "suspected": _list_entries(row, "suspected", as_of),
    }
    days = {dispute.key: dispute.at.date() for dispute, _ in disputes}
    entries = {group: [_add_dispute(e, group, days) for e in listed] for group, listed in entries.items()}
    return PatientSummary(
        as_of=as_of,
        pregnant={True: "yes", False: "no", None: "unknown"}[state.pregnant],
        gestational_weeks=state.weeks,
        gestational_days=state.days,
        dating=state.dating,
        postpartum_weeks=state.postpartum_weeks,
        gestational_age_days=state.age,
        postpartum_range=state.postpartum,
        multiple=state.multiple,
        overdue=state.overdue,
        pregnancy_sources=state.sources,
        allergies=entries["allergy"],
        conditions=[entry for entry in entries["condition"] if not entry.reason],
        medicines=[entry for entry in entries["medicine"] if not entry.reason],
        suspected=[entry for entry in entries["suspected"] if not entry.reason],
        signals=_list_signals(row, as_of),
        not_current=[
            entry for group in ("medicine", "condition", "suspected") for entry in entries[group] if entry.reason
        ],
        unmapped=[e for group in entries.values() for e in group if e.code.partition("//")[0] in _LOCAL],
        disputed=[_describe_dispute(one, words, row, entries) for one, words in disputes],
    )


def _add_dispute(entry: Entry, group: str, days: Mapping[str, date]) -> Entry:
    """The entry with the day on which it was disputed; not current where the dispute holds."""
    marked = is_disputed(entry.text)
    found = [days[key] for name in list_groups(group) if (key := make_key(name, entry.code)) in days]
    if not (marked or (found and group == "allergy")):
        return entry
    on = max(found, default=None)
    reason = f"{DISPUTED}{f' on {on}' if on else ''}" if marked else ""
    return replace(entry, text=strip_mark(entry.text), disputed=on, reason=reason)


def _describe_dispute(
    dispute: StatedDispute, correction: str | None, row: FeatureRow, entries: Mapping[str, list[Entry]]
) -> DisputedFact:
    """Whether the disputed fact still stands."""
    group, _, name = dispute.key.partition(":")
    if group == "signal":
        at = read_time(row, f"{name}_time")
        stands = at is not None and at > dispute.at
    elif group in ("dating", "pregnancy"):
        stands = False
    else:
        standing = [e for g, listed in entries.items() if group in list_groups(g) for e in listed if e.code == name]
        stands = any(not e.reason.startswith(DISPUTED) for e in standing)
    return DisputedFact(dispute.key, dispute.at.date(), stands, correction)


def _build_entry(entry: RecordEntry, as_of: datetime) -> Entry:
    concept = find_concept(entry.code)
    return Entry(
        code=entry.code,
        text=entry.text,
        age_days=_count_days(entry.time, as_of),
        source=entry.source or None,
        concept=concept.name if concept else None,
        reason=_REASONS[entry.reason],
    )


def _settle(entry: Entry, state: PregnancyState) -> Entry:
    """The entry, not current where it is the week of a former day, or a pregnancy that is not believed to go on."""
    if is_week_code(entry.code) and not entry.reason:
        return replace(entry, reason="the week of the day on which it was noted")
    if entry.reason or entry.concept != "pregnancy" or state.pregnant:
        return entry
    ended = "the pregnancy has ended" if state.postpartum is not None else "no pregnancy is known to go on"
    return replace(entry, reason=ended)


def _list_entries(row: FeatureRow, group: str, as_of: datetime) -> list[Entry]:
    """Zip the parallel arrays of a group."""
    texts, times = read_texts(row, f"{group}_texts"), read_times(row, f"{group}_times")
    codes, sources = read_texts(row, f"{group}_codes"), read_texts(row, f"{group}_sources")
    found = []
    for i, text in enumerate(texts):
        code = codes[i] if i < len(codes) else ""
        concept = find_concept(code)
        found.append(
            Entry(
                code=code,
                text=text,
                age_days=_count_days(times[i] if i < len(times) else None, as_of),
                source=(sources[i] if i < len(sources) else "") or None,
                concept=concept.name if concept else None,
            )
        )
    return found


def _list_signals(row: FeatureRow, as_of: datetime) -> list[SignalValue]:
    """The latest value of every signal that has one."""
    return [
        SignalValue(
            name=signal.name,
            value=value,
            unit=signal.unit,
            comparator=read_comparator(row, signal.name),
            age_days=_count_days(read_time(row, f"{signal.name}_time"), as_of),
            source=read_text(row, f"{signal.name}_source"),
            preliminary=is_preliminary(row, signal.name),
        )
        for signal in SIGNALS
        if (value := read_number(row, f"{signal.name}_latest")) is not None
    ]


def _count_days(time: datetime | None, as_of: datetime) -> float | None:
    return None if time is None else round((as_of - time).total_seconds() / 86_400, 1)
