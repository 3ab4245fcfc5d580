"""Line by line: what is ignored, what is broken, and the events of what is sound."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.records.extract import EXTRACTORS
from pipelines.records.extract.facts import ExtractedFacts, ExtractionContext
from pipelines.records.log import event_log
from pipelines.records.log.draft_events import DRAFT_SCHEMA, DRAFTS, TOUCHED, TOUCHED_SCHEMA
from pipelines.records.log.hash_sets import HashSet
from pipelines.records.log.ledger import Accounts
from pipelines.records.log.spill import write_rows
from pipelines.records.prescan import Prescan, hash_identity
from pipelines.records.read.identity import hash_content, read_reference
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pipelines.records.retry import Deletion, find_deleted_records
from pipelines.records.validate.fields import FIELDS
from pipelines.records.validate.structure import read_patient_id, read_type, select_allowed
from pmlm.settings import Settings

if TYPE_CHECKING:
    from pipelines.records.validate.values import ValueValidator

CHUNK_LINES = 40_000  # lines judged at a time, fewer where they are long
CHUNK_BYTES = 64 << 20
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,39}|\(entry without resource\)")

Reject = Callable[[RawResource, ResourceError], None]


@dataclass(slots=True)
class ProcessedDrop:
    """The accounts, and the rows of quarantine that are sound now."""

    accounts: Accounts = field(default_factory=Accounts)
    sound_rows: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ProcessedChunk:
    """What comes of some thousand lines: rows of ``DRAFT_SCHEMA`` and ``TOUCHED_SCHEMA`` with the line's number in the
    chunk as ``item``, and what is to be deleted."""

    drafts: list[tuple[Any, ...]] = field(default_factory=list)
    touched: list[tuple[Any, ...]] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)


class DropProcessor:
    """One import's judgement of lines; ``known`` are the patients whose records may be taken in.

    What comes of sound lines is laid aside under ``place``: ``DRAFTS`` of events, and the records ``TOUCHED``.
    """

    def __init__(self, settings: Settings, survey: Prescan, context: ExtractionContext, known: HashSet, values: ValueValidator,
                 reject: Reject, place: Path) -> None:  # fmt: skip
        self._settings = settings
        self._survey = survey
        self._context = context
        self._known = known
        self._values = values
        self._reject = reject
        self._place = place
        # a patient and a visit are named again and again
        self._subject_of = lru_cache(maxsize=1 << 12)(settings.subject_id)
        self._visit_of = lru_cache(maxsize=1 << 12)(self._pseudonym_of_visit)
        self._seen = bytearray(len(survey.repeated))
        self.result = ProcessedDrop()

    def sift(self, lines: Iterable[RawResource]) -> ProcessedDrop:
        """Judge all lines, some thousands at a time."""
        with _collect_garbage_per_chunk() as collect:
            rest = iter(lines)
            while self._sift_chunk(rest):
                collect()
        accounts = self.result.accounts
        accounts.by_rule = dict(sorted(accounts.by_rule.items()))
        accounts.ignored_types = dict(sorted(accounts.ignored_types.items()))
        return self.result

    def _sift_chunk(self, lines: Iterator[RawResource]) -> bool:
        """Judge the next lines; False where there are none left."""
        judged: list[tuple[RawResource, int]] = []
        broken: dict[int, ResourceError] = {}
        chunk = ProcessedChunk()
        held, line = 0, None
        for line in islice(lines, CHUNK_LINES):
            self.result.accounts.read += not line.row
            item, key = len(judged), 0
            try:
                kind, facts = self._judge(line)
            except ResourceError as failure:
                broken[item] = ResourceError(failure.rule, failure.reason)  # the one raised holds the parsed resource
            else:
                if facts is None:
                    self._ignore(kind)
                    continue
                key = hash_identity(line, kind)
                self._values.add(item, facts.rows)
                self._draft(line, kind, facts, item, chunk)
            line.let_go()
            judged.append((line, key))
            held += len(line.raw)
            if held > CHUNK_BYTES:
                break
        broken |= self._values.judge()
        self._account(judged, broken)
        self._lay(chunk, broken)
        return line is not None

    def _lay(self, chunk: ProcessedChunk, broken: Mapping[int, ResourceError]) -> None:
        for name, rows, schema in ((DRAFTS, chunk.drafts, DRAFT_SCHEMA), (TOUCHED, chunk.touched, TOUCHED_SCHEMA)):
            frame = pl.DataFrame(rows, schema=schema | {"item": pl.Int64}, orient="row")
            sound = frame.filter(~pl.col("item").is_in(sorted(broken))).drop("item")
            write_rows(self._place / name, sound, "resource")
        if chunk.deletions:
            for touched in find_deleted_records(self._settings, event_log.scan_events(self._settings), chunk.deletions):
                write_rows(self._place / TOUCHED, touched, "resource")

    def _judge(self, line: RawResource) -> tuple[str, ExtractedFacts | None]:
        """The type and facts of a line; None for a type that is not used. The subject is left in the context."""
        if line.broken is not None:
            raise ResourceError(
                line.broken.rule, line.broken.reason
            )  # raised itself, it would hold the chunk it is held by
        resource: Resource = line.resource or {}
        kind = read_type(resource)
        if kind not in FIELDS:
            return kind, None
        if line.deleted:
            return kind, ExtractedFacts()
        passed = select_allowed(resource, kind)
        if hash_identity(line, kind) in self._survey.conflicts:
            raise ResourceError("duplicate_conflict", "the drop holds this type and id with other content too")
        context = self._context
        context.subject = 0
        if kind != "Medication":
            context.subject = self._subject_of(read_patient_id(passed, kind))
            if context.subject not in self._known:
                raise ResourceError("unknown_patient", "the patient is in no drop so far")
        try:
            facts = EXTRACTORS[kind](passed, context)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A shape that the checks let pass and no extractor foresaw must not stop the sound lines beside it.
            raise ResourceError("not_understood", f"the content could not be read ({type(error).__name__})") from error
        visit = (None, passed["id"]) if kind == "Encounter" else read_reference(passed.get("encounter"))
        facts.visit = visit[1] if visit else None
        return kind, facts

    def _draft(self, line: RawResource, kind: str, facts: ExtractedFacts, item: int, chunk: ProcessedChunk) -> None:
        resource: Resource = line.resource or {}
        source = hash_content(self._settings, resource)
        if line.deleted:
            chunk.deletions.append((kind, resource["id"], source))
        pseudonym = self._settings.pseudonym
        encounter = self._visit_of(facts.visit) if facts.visit else None
        whole = pseudonym(kind, resource["id"])
        records = {f: pseudonym(kind, resource["id"], f) if f else whole for f in facts.facets}
        for fact in facts.facts:
            if fact.facet not in records:
                records[fact.facet] = pseudonym(kind, resource["id"], fact.facet) if fact.facet else whole
            record = records[fact.facet]
            parent = pseudonym(*fact.answers) if fact.answers else None
            chunk.drafts.append(
                (self._context.subject, fact.time, fact.code, fact.number, fact.text, fact.known, fact.kind, fact.unit,
                 encounter, record, parent, source, line.since, whole, item)
            )  # fmt: skip
        chunk.touched.extend((record, source, line.since, whole, item) for record in records.values())

    def _pseudonym_of_visit(self, visit: str) -> int:
        return self._settings.pseudonym("Encounter", visit)

    def _turn_away(self, line: RawResource, broken: ResourceError) -> None:
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

    def _account(self, judged: list[tuple[RawResource, int]], broken: Mapping[int, ResourceError]) -> None:
        """Turn away what is broken and count what is sound, in the order of the lines."""
        for item, (line, key) in enumerate(judged):
            if item in broken:
                self._turn_away(line, broken[item])
                continue
            if line.row:
                self.result.sound_rows.append(line.row)
                continue
            self.result.accounts.accepted += 1
            at = None if line.deleted else self._survey.repeated.place(key)
            if at is not None:
                self.result.accounts.duplicates += self._seen[at]
                self._seen[at] = 1


@contextmanager
def _collect_garbage_per_chunk() -> Iterator[Callable[[], int]]:
    """Parsed records hold no cycles: looking for some at every 700th object is a sixth of the time of an import.

    Great Expectations' results do, and hold whole tables: yields what is to be called when a chunk is done with.
    """
    gc.disable()
    try:
        yield partial(gc.collect, 0)  # of what was made since it was called last
    finally:
        gc.enable()
