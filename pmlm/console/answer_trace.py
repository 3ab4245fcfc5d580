"""Trace an answer back to lines of the records, and a line forward to answers.

While the answer's explanation is stored (``PMLM_EXPLANATION_DAYS``) its sentences are as they were. Afterwards they are
computed again from the feature files as of the answer: the interaction log says which release made it and which
sentences it chose, without a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from bentos.auth import audit
from bentos.auth.principal import LOCAL
from bentos.personalizer.explanations import Explanations
from bentos.recording.store_writer import StoreWriter
from models.vocabulary import BIRTH_CODE
from pipelines.lineage.influence import LineInfluence, trace_line
from pipelines.lineage.record_events import RecordEvent, find_events, find_newest_events, list_subjects
from pipelines.lineage.release_origin import ReleaseOrigin, trace_release
from pipelines.lineage.source_lines import UNREAD_KIND, SourceLine, find_lines
from pmlm.api_types import Explanation, PromptSegment, Versions
from pmlm.errors import FeaturesError, UnknownAnswerError, UnknownPatientError
from pmlm.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bentos.personalizer.interaction_log import Interaction

ROUTE = "pmlm trace"
#: Sentences that count facts (``visits:n=3``) → the kinds of these facts; the newest n are behind the sentence.
_COUNTED = {
    "visits.recent": ("encounter", "encounter.emergency"),
    "visits.missed": ("encounter.missed",),
    "visits.emergency": ("encounter.emergency",),
    "preference.length": ("rating",),
}


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """An event behind a sentence, and its line; None where no drop has that line any more."""

    event: RecordEvent
    line: SourceLine | None


@dataclass(frozen=True, slots=True)
class TracedSegment:
    """A sentence of a prompt; ``summaries`` are the sources that are no single event."""

    key: str
    kind: str
    text: str
    pinned: bool
    events: tuple[TracedEvent, ...]
    summaries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerTrace:
    """An answer with everything behind it. ``sentences``: as ``stored``, or ``computed again``."""

    answer: str
    patient: str
    endpoint: str
    sentences: Literal["stored", "computed again"]
    versions: Versions
    segments: tuple[TracedSegment, ...]
    release: ReleaseOrigin | None


@dataclass(frozen=True, slots=True)
class AnswerUse:
    """A stored answer about a line's patient: whether its prompt states what the line says, or could have."""

    answer: str
    endpoint: str
    release: str
    stated: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineTrace:
    """What a resource of a line influenced, answers included."""

    influence: LineInfluence
    answers: tuple[AnswerUse, ...]


@dataclass(frozen=True, slots=True)
class _FoundAnswer:
    id: str
    subject: int
    endpoint: str
    sentences: Literal["stored", "computed again"]
    versions: Versions
    segments: tuple[PromptSegment, ...]


def trace_answer(settings: Settings, id_: str | None) -> AnswerTrace:
    """Trace an answer, by default the newest; ``UnknownAnswerError`` where neither store has it."""
    found = _find_answer(settings, id_)
    with _record_access(settings, [found.subject]):
        as_of = datetime.fromisoformat(found.versions.as_of)
        hashed = sorted({source for segment in found.segments for source in segment.sources if ":" not in source})
        events = find_events(settings, hashed, found.subject) if hashed else []
        segments = [(s, *_find_facts(settings, found.subject, as_of, s, events)) for s in found.segments]
        lines = _find_lines(settings, [event for _, facts, _ in segments for event in facts])
        traced = [
            TracedSegment(
                key=segment.key,
                kind=segment.kind,
                text=segment.text,
                pinned=segment.pinned,
                events=tuple(TracedEvent(event, lines.get(event.source)) for event in facts),
                summaries=tuple(summaries),
            )
            for segment, facts, summaries in segments
        ]
        return AnswerTrace(
            answer=found.id,
            patient=f"subject:{found.subject}",
            endpoint=found.endpoint,
            sentences=found.sentences,
            versions=found.versions,
            segments=tuple(traced),
            release=trace_release(settings, found.versions.release),
        )


def trace_source(settings: Settings, place: str) -> list[LineTrace]:
    """Trace a line, ``FILE:LINE``, forward to every answer whose prompt states it; ``RecordsError`` for no line."""
    influences = trace_line(settings, place)
    subjects = sorted({event.subject for one in influences for event in one.events})
    with _record_access(settings, subjects):
        return [LineTrace(one, tuple(_list_uses(settings, one))) for one in influences]


def _find_answer(settings: Settings, id_: str | None) -> _FoundAnswer:
    stored = Explanations(settings) if (settings.workspace / "explanations.db").exists() else None
    id_ = id_ or (stored.find_newest() if stored else None)
    if id_ is None:
        raise UnknownAnswerError("no answer is stored yet: ask with `pmlm ask`")
    found = stored.find(id_) if stored else None
    if found is not None:
        subject, explanation = found
        kept = tuple(segment for segment in explanation.segments if segment.kept)
        return _FoundAnswer(id_, subject, explanation.endpoint, "stored", explanation.versions, kept)
    from bentos.personalizer.interaction_log import find_interaction  # seconds: it imports the sentence encoder

    interaction = find_interaction(settings.workspace / "interactions", id_)
    if interaction is None:
        raise UnknownAnswerError(f"no answer {id_} is stored; `pmlm ask --json` gives an answer's id")
    subject = _find_subject(settings, interaction)
    segments = tuple(_compute_again(settings, subject, interaction))
    return _FoundAnswer(id_, subject, interaction.endpoint, "computed again", interaction.versions, segments)


def _find_subject(settings: Settings, interaction: Interaction) -> int:
    for subject in list_subjects(settings):
        if settings.pseudonym("interaction", str(subject)) == interaction.patient:
            return subject
    raise UnknownPatientError("the answer's patient is in the record no more")


def _compute_again(settings: Settings, subject: int, interaction: Interaction) -> Iterator[PromptSegment]:
    """The sentences that an answer chose, from the features as of the answer; without sources where they differ."""
    from models.prompt.candidates import build_candidates
    from pipelines.features.inspect.show import read_row

    as_of = datetime.fromisoformat(interaction.versions.as_of)
    try:
        row = read_row(settings, f"subject:{subject}", as_of)
    except (FeaturesError, UnknownPatientError):
        row = {}
    candidates = build_candidates(row, as_of, len, interaction.language, settings.currency_rule) if row else ()
    by_key = {segment.key: segment for segment in candidates}
    for position, key in enumerate(interaction.kept):
        segment = by_key.get(key)
        yield PromptSegment(
            key=key,
            kind=segment.kind if segment else "record",
            text=segment.text if segment else "",
            pinned=segment.pinned if segment else False,
            kept=True,
            sources=list(segment.sources) if segment else [],
            position=position,
        )


def _find_facts(
    settings: Settings, subject: int, as_of: datetime, segment: PromptSegment, events: Iterable[RecordEvent]
) -> tuple[list[RecordEvent], list[str]]:
    """The events behind a sentence, and its sources that are no single event."""
    facts = [event for event in events if event.source in segment.sources]
    known = {event.source for event in facts}
    summaries = [source for source in segment.sources if source not in known]
    for source in summaries:
        if segment.key in _COUNTED and ":n=" in source and not source.startswith("peers:"):
            count = max(int(source.partition("=")[2]), segment.key == "visits.recent")  # the last one, however old
            facts += find_newest_events(settings, subject, _COUNTED[segment.key], as_of, count)
        elif source == "record:birth":
            facts += [e for e in find_newest_events(settings, subject, ["patient"], as_of, 9) if e.code == BIRTH_CODE]
    return facts, summaries


def _find_lines(settings: Settings, events: Iterable[RecordEvent]) -> dict[str, SourceLine]:
    wanted: dict[str, set[str]] = {}
    for event in (listed := list(events)):
        wanted.setdefault(event.night, set()).add(event.source)
    return find_lines(settings, wanted, unread=any(e.kind == UNREAD_KIND for e in listed)) if wanted else {}


def _list_uses(settings: Settings, influence: LineInfluence) -> Iterable[AnswerUse]:
    if not (settings.workspace / "explanations.db").exists():
        return
    source, stored = influence.line.source, Explanations(settings)
    for subject in sorted({event.subject for event in influence.events}):
        for answer in stored.list_answers(subject):
            behind = [s for s in answer.segments if source in s.sources or _counts(settings, influence, answer, s)]
            stated = tuple(segment.key for segment in behind if segment.kept)
            left_out = tuple(segment.key for segment in behind if not segment.kept)
            if behind:
                yield AnswerUse(answer.id, answer.endpoint, answer.versions.release, stated, left_out)


def _counts(settings: Settings, influence: LineInfluence, answer: Explanation, segment: PromptSegment) -> bool:
    """Whether the line is among the facts that a sentence counts (visits, ratings), or the birth behind an age."""
    kinds = {"patient"} if segment.key == "age" else set(_COUNTED.get(segment.key, ()))
    subjects = {event.subject for event in influence.events if event.kind in kinds}
    as_of = datetime.fromisoformat(answer.versions.as_of)
    facts = [fact for subject in subjects for fact in _find_facts(settings, subject, as_of, segment, ())[0]]
    return any(fact.source == influence.line.source for fact in facts)


@contextmanager
def _record_access(settings: Settings, subjects: Iterable[int]) -> Iterator[None]:
    """Record in the audit record that these patients were looked at."""
    with audit.record_block(settings, ROUTE, LOCAL.client, StoreWriter("audit").write):
        for subject in subjects:
            audit.touch(subject)
        yield
