"""Line by line: what is ignored, what is broken, and the events of what is sound."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.records.checks import allowed, patient_of, type_of
from pipelines.records.extract import EXTRACTORS
from pipelines.records.extract.facts import Context, Facts
from pipelines.records.fields import FIELDS
from pipelines.records.ledger import Accounts
from pipelines.records.line import Broken, Line, Resource
from pipelines.records.references import reference_of
from pipelines.records.source import source_of
from pipelines.records.survey import Survey, key_of
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.records.values import ValuesTier

CHUNK = 50_000
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,39}|\(entry without resource\)")

#: Columns of events before the log has seen them: ``known`` is a history's own clock, ``since`` as in ``Line``.
DRAFT: dict[str, Any] = {
    "subject_id": pl.Int64,
    "time": pl.Int64,
    "code": pl.String,
    "numeric_value": pl.Float64,
    "text_value": pl.String,
    "known": pl.Int64,
    "kind": pl.String,
    "unit": pl.String,
    "encounter_id": pl.Int64,
    "record": pl.Int64,
    "parent": pl.Int64,
    "source": pl.String,
    "since": pl.Int64,
    "item": pl.Int64,
}
#: Every record a sound resource may have had a fact under before, with its present source.
TOUCHED: dict[str, Any] = {"record": pl.Int64, "source": pl.String, "since": pl.Int64, "item": pl.Int64}

Reject = Callable[[Line, Broken], None]


@dataclass(slots=True)
class Sifted:
    """Drafts of events and touched records of all sound resources; accounts; rows let out of quarantine by rule."""

    events: list[pl.DataFrame] = field(default_factory=list)
    touched: list[pl.DataFrame] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)
    sound_rows: list[str] = field(default_factory=list)
    deletions: list[tuple[str, str, str]] = field(default_factory=list)


class Sieve:
    """One import's judgement of lines; ``known`` are the patients whose records may be taken in."""

    def __init__(self, settings: Settings, survey: Survey, context: Context, known: set[int], values: ValuesTier,
                 reject: Reject) -> None:  # fmt: skip
        self._settings = settings
        self._survey = survey
        self._context = context
        self._known = known
        self._values = values
        self._reject = reject
        # a patient and a visit are named again and again
        self._subject_of = lru_cache(maxsize=1 << 16)(settings.subject_id)
        self._visit_of = lru_cache(maxsize=1 << 16)(self._pseudonym_of_visit)
        self._seen: set[int] = set()
        self.result = Sifted()

    def sift(self, lines: Iterable[Line]) -> Sifted:
        """Judge all lines, some thousands at a time."""
        with _few_collections():
            for chunk in _chunks(lines):
                self._sift_chunk(chunk)
        accounts = self.result.accounts
        accounts.by_rule = dict(sorted(accounts.by_rule.items()))
        accounts.ignored_types = dict(sorted(accounts.ignored_types.items()))
        return self.result

    def _sift_chunk(self, chunk: Iterable[Line]) -> None:
        sound: list[tuple[Line, int]] = []
        events: list[tuple[Any, ...]] = []
        touched: list[tuple[Any, ...]] = []
        for line in chunk:
            self.result.accounts.read += not line.row
            try:
                if line.broken is not None:
                    raise line.broken
                kind, facts = self._judge(line)
            except Broken as broken:
                self._turn_away(line, broken)
                continue
            if facts is None:
                self._ignore(kind)
                continue
            item = len(sound)
            sound.append((line, key_of(line, kind)))
            self._values.add(item, facts.rows)
            self._draft(line, kind, facts, item, events, touched)
            line.let_go()
        failed = self._values.judge()
        for item, failure in failed.items():
            self._turn_away(sound[item][0], failure)
        self._accept(sound, failed.keys())
        for rows, schema, frames in ((events, DRAFT, self.result.events), (touched, TOUCHED, self.result.touched)):
            frame = pl.DataFrame(rows, schema=schema, orient="row")
            frames.append(frame.filter(~pl.col("item").is_in(sorted(failed))).drop("item"))

    def _judge(self, line: Line) -> tuple[str, Facts | None]:
        """The facts of a line; None for a type that is not used. The subject is left in the context."""
        resource: Resource = line.resource or {}
        kind = type_of(resource)
        if kind not in FIELDS:
            return kind, None
        if line.deleted:
            return kind, Facts()
        passed = allowed(resource, kind)
        if key_of(line, kind) in self._survey.conflicts:
            raise Broken("duplicate_conflict", "the drop holds this type and id with other content too")
        context = self._context
        context.subject = 0
        if kind != "Medication":
            context.subject = self._subject_of(patient_of(passed, kind))
            if context.subject not in self._known:
                raise Broken("unknown_patient", "the patient is in no drop so far")
        try:
            facts = EXTRACTORS[kind](passed, context)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A shape that the checks let pass and no extractor foresaw must not stop the sound lines beside it.
            raise Broken("not_understood", f"the content could not be read ({type(error).__name__})") from error
        visit = (None, passed["id"]) if kind == "Encounter" else reference_of(passed.get("encounter"))
        facts.visit = visit[1] if visit else None
        return kind, facts

    def _draft(self, line: Line, kind: str, facts: Facts, item: int, events: list[tuple[Any, ...]],
               touched: list[tuple[Any, ...]]) -> None:  # fmt: skip
        resource: Resource = line.resource or {}
        source = source_of(self._settings, resource)
        if line.deleted:
            self.result.deletions.append((kind, resource["id"], source))
        pseudonym = self._settings.pseudonym
        encounter = self._visit_of(facts.visit) if facts.visit else None
        records = {f: pseudonym(kind, resource["id"], *filter(None, (f,))) for f in facts.facets}
        for fact in facts.facts:
            record = records.setdefault(fact.facet, pseudonym(kind, resource["id"], *filter(None, (fact.facet,))))
            parent = pseudonym(*fact.answers) if fact.answers else None
            events.append(
                (self._context.subject, fact.time, fact.code, fact.number, fact.text, fact.known, fact.kind, fact.unit,
                 encounter, record, parent, source, line.since, item)
            )  # fmt: skip
        touched.extend((record, source, line.since, item) for record in records.values())

    def _pseudonym_of_visit(self, visit: str) -> int:
        return self._settings.pseudonym("Encounter", visit)

    def _turn_away(self, line: Line, broken: Broken) -> None:
        if not line.row:
            accounts = self.result.accounts
            accounts.quarantined += 1
            accounts.by_rule[broken.rule] = accounts.by_rule.get(broken.rule, 0) + 1
        self._reject(line, broken)

    def _ignore(self, kind: str) -> None:
        accounts = self.result.accounts
        accounts.ignored += 1
        kind = kind if _TYPE.fullmatch(kind) else "(no type of FHIR)"  # a record's own text stays out of the ledger
        accounts.ignored_types[kind] = accounts.ignored_types.get(kind, 0) + 1

    def _accept(self, sound: list[tuple[Line, int]], failed: Iterable[int]) -> None:
        gone = set(failed)
        for item, (line, key) in enumerate(sound):
            if item in gone:
                continue
            if line.row:
                self.result.sound_rows.append(line.row)
                continue
            self.result.accounts.accepted += 1
            if not line.deleted and key in self._survey.repeated:
                self.result.accounts.duplicates += key in self._seen
                self._seen.add(key)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Parsed records hold no cycles: looking for some at every 700th object is a sixth of the time of an import."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _chunks(lines: Iterable[Line]) -> Iterator[Iterable[Line]]:
    """The lines in runs of ``CHUNK``, none read before it is asked for."""
    iterator = iter(lines)
    while (first := next(iterator, None)) is not None:
        yield chain((first,), islice(iterator, CHUNK - 1))
