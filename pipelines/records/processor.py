"""Process the resources of a drop in chunks: ignore, reject, or turn into draft events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.records.deletions import Deletion, find_deleted_records
from pipelines.records.extract import EXTRACTORS
from pipelines.records.extract.facts import ExtractedFacts, ExtractionContext
from pipelines.records.interpret.local_times import convert_times, fold_times
from pipelines.records.interpret.specimen_links import WAITING, WAITING_SCHEMA
from pipelines.records.log import event_log
from pipelines.records.log.known_versions import KnownAllergies
from pipelines.records.log.ledger import Accounts
from pipelines.records.log.spill import HashSet, write_rows
from pipelines.records.log.versions import DRAFT_SCHEMA, DRAFTS, TOUCHED, TOUCHED_SCHEMA
from pipelines.records.prescan import DELETION, Prescan, find_place, hash_identity, shorten_content
from pipelines.records.read.identity import hash_content, hash_patient, read_reference, read_version
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pipelines.records.unread_allergies import KIND as ALLERGY
from pipelines.records.unread_allergies import build_unread_facts, find_unread_allergy
from pipelines.records.validate.fields import FIELDS
from pipelines.records.validate.garbage import collect_garbage_per_chunk
from pipelines.records.validate.structure import find_other_kind, read_patient_id, read_type, select_allowed
from pmlm.settings import Settings

if TYPE_CHECKING:
    from pipelines.records.validate.values import ValueValidator

CHUNK_RESOURCES = 40_000  # resources per chunk, fewer where they are long
CHUNK_BYTES = 64 << 20
OBSERVATION = "Observation"
_NO_ITEM = -1  # of a row that counts though its resource is in quarantine
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,39}(?: of [A-Za-z ]{1,40})?|\(entry without resource\)")
RejectCallback = Callable[[RawResource, ResourceError], None]


@dataclass(slots=True)
class ProcessedDrop:
    """The accounts of a drop, and the ids of quarantine rows now sound."""

    accounts: Accounts = field(default_factory=Accounts)
    sound_rows: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ProcessedChunk:
    """Rows of three schemas, each with its resource's position in the chunk; deletions.

    ``waiting`` are rows of ``WAITING_SCHEMA``: values of a specimen that is in no drop so far.
    """

    drafts: list[tuple[Any, ...]] = field(default_factory=list)
    touched: list[tuple[Any, ...]] = field(default_factory=list)
    waiting: list[tuple[Any, ...]] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)


class DropProcessor:
    """Processes the resources of one import; only records of ``patients`` are accepted.

    Drafts of events and touched records of sound resources spill to ``DRAFTS`` and ``TOUCHED`` under ``place``; what
    breaks a rule goes to ``reject``.
    """

    def __init__(self, settings: Settings, prescan: Prescan, context: ExtractionContext, patients: HashSet,
                 allergies: KnownAllergies, validator: ValueValidator, reject: RejectCallback,
                 place: Path) -> None:  # fmt: skip
        self._settings = settings
        self._zone = settings.zone
        self._prescan = prescan
        self._context = context
        self._patients = patients
        self._allergies = allergies
        self._validator = validator
        self._reject = reject
        self._place = place
        # a patient and an encounter are named again and again
        self._subject_id = lru_cache(maxsize=1 << 12)(partial(hash_patient, settings))
        self._encounter_id = lru_cache(maxsize=1 << 12)(partial(settings.pseudonym, "Encounter"))
        self._seen = bytearray(len(prescan.repeated))
        self.result = ProcessedDrop()

    def process(self, raws: Iterable[RawResource]) -> ProcessedDrop:
        """Process all resources, chunk by chunk."""
        with collect_garbage_per_chunk() as collect:
            rest = iter(raws)
            while self._process_chunk(rest):
                collect()
        accounts = self.result.accounts
        accounts.by_rule = dict(sorted(accounts.by_rule.items()))
        accounts.ignored_types = dict(sorted(accounts.ignored_types.items()))
        return self.result

    def _process_chunk(self, raws: Iterator[RawResource]) -> bool:
        """Process the next resources; False where there are none left."""
        processed: list[tuple[RawResource, int]] = []
        ignored: dict[int, str] = {}
        errors: dict[int, ResourceError] = {}
        chunk = ProcessedChunk()
        size, raw = 0, None
        for raw in islice(raws, CHUNK_RESOURCES):
            self.result.accounts.read += not raw.row
            item, key = len(processed), 0
            try:
                kind, facts = self._extract(raw)
            except ResourceError as error:
                errors[item] = ResourceError(error.rule, error.reason)  # the raised one refers to the parsed resource
            else:
                if facts is None:
                    self._count_ignored(kind)
                    continue
                key = hash_identity(raw, kind)
                if facts.ignored:
                    ignored[item] = f"{kind} of {facts.ignored}"
                self._validator.add_rows(item, facts.rows)
                self._add_drafts(raw, kind, facts, item, chunk)
            raw.discard_parsed()
            processed.append((raw, key))
            size += len(raw.data)
            if size > CHUNK_BYTES:
                break
        errors |= self._validator.validate_rows()
        for item, broken in errors.items():
            self._add_unread_allergy(processed[item][0], broken, chunk)
        self._count_results(processed, errors, ignored)
        self._spill_chunk(chunk, errors)
        return raw is not None

    def _extract(self, raw: RawResource) -> tuple[str, ExtractedFacts | None]:
        """The type and facts of a resource; sets the context's subject.

        The facts are None for a type that is not used. Raises ``ResourceError``.
        """
        if raw.error is not None:
            # raised itself, its traceback would keep the whole chunk in memory
            raise ResourceError(raw.error.rule, raw.error.reason)
        if self._prescan.ambiguous and (twice := self._prescan.ambiguous.get(find_place(raw))):
            raise ResourceError("duplicate_key", f"{twice} is there twice")
        resource: Resource = raw.resource or {}
        kind = read_type(resource)
        if kind not in FIELDS:
            return kind, None
        if raw.deleted:
            return kind, None if self._is_superseded(raw, kind) else ExtractedFacts()
        if other := find_other_kind(resource, kind):
            return f"{kind} of a {other}", None
        checked = select_allowed(resource, kind)
        if self._is_superseded(raw, kind):
            return f"{kind} of an earlier version", None
        if kind == ALLERGY and self._contradicts_earlier(resource):
            raise ResourceError("duplicate_conflict", "another drop has other content, and nothing says which counts")
        context = self._context
        context.subject = 0
        if kind != "Medication":
            context.patient = read_patient_id(checked, kind)
            context.subject = self._subject_id(context.patient)
            if context.subject not in self._patients:
                raise ResourceError("unknown_patient", "the patient is in no drop so far")
        if self._zone is not None:
            checked = convert_times(checked, self._zone)
        try:
            facts = self._extract_facts(checked, kind)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A form that the checks accept and no extractor foresees must not stop the sound resources around it.
            raise ResourceError("not_understood", f"the content could not be read ({type(error).__name__})") from error
        encounter = (None, checked["id"]) if kind == "Encounter" else read_reference(checked.get("encounter"))
        facts.encounter = encounter[1] if encounter else None
        return kind, facts

    def _extract_facts(self, checked: Resource, kind: str) -> ExtractedFacts:
        """The facts of a checked resource; a time in the day's evening by its own offset is not in the future."""
        try:
            return EXTRACTORS[kind](checked, self._context)
        except ResourceError as error:
            folded = fold_times(checked, self._context.end) if error.rule == "future_date" else checked
            if folded == checked:
                raise
        return EXTRACTORS[kind](folded, self._context)

    def _is_superseded(self, raw: RawResource, kind: str) -> bool:
        """Whether the drop has a later version; ``ResourceError`` where nothing says which one is later."""
        key = hash_identity(raw, kind)
        if key in self._prescan.conflicts:
            raise ResourceError("duplicate_conflict", "the drop holds this type and id with other content too")
        latest = self._prescan.latest.get(key)
        if latest is None:
            return False
        return latest != (DELETION if raw.deleted else shorten_content(self._settings, raw.resource or {}))

    def _contradicts_earlier(self, resource: Resource) -> bool:
        """Whether an allergy differs from another drop's and nothing says which of the two is later."""
        whole, content = self._settings.pseudonym(ALLERGY, resource["id"]), shorten_content(self._settings, resource)
        return self._allergies.conflicts_with(whole, content, *read_version(resource))

    def _add_drafts(self, raw: RawResource, kind: str, facts: ExtractedFacts, item: int,
                    chunk: ProcessedChunk) -> None:  # fmt: skip
        resource: Resource = raw.resource or {}
        source = hash_content(self._settings, resource)
        if raw.deleted:
            chunk.deletions.append((kind, resource["id"], source, read_version(resource)))
        pseudonym = self._settings.pseudonym
        encounter = self._encounter_id(facts.encounter) if facts.encounter else None
        whole = pseudonym(kind, resource["id"])
        records = {f: pseudonym(kind, resource["id"], f) if f else whole for f in facts.facets}
        for fact in facts.facts:
            if fact.facet not in records:
                records[fact.facet] = pseudonym(kind, resource["id"], fact.facet) if fact.facet else whole
            record = records[fact.facet]
            parent = pseudonym(*fact.parent) if fact.parent else None
            chunk.drafts.append(
                (self._context.subject, fact.time, fact.code, fact.number, fact.text, fact.known, fact.kind, fact.unit,
                 encounter, record, parent, source, raw.since, whole, item)
            )  # fmt: skip
        stated = (*read_version(resource), kind == ALLERGY)
        chunk.touched.extend((record, source, raw.since, whole, *stated, item) for record in records.values())
        unknown = self._prescan.specimens.find_unknown(resource, self._context.patient) if kind == OBSERVATION else None
        if unknown and facts.facts:
            chunk.waiting.extend((*unknown, record, whole, item) for record in records.values())

    def _add_unread_allergy(self, raw: RawResource, error: ResourceError, chunk: ProcessedChunk) -> None:
        """Add the facts that stand for a quarantined allergy of a known patient."""
        found = None if raw.row or raw.deleted else find_unread_allergy(raw)
        if found is None:
            return
        patient, ident = found
        self._context.patient, self._context.subject = patient, self._subject_id(patient)
        if self._context.subject not in self._patients:
            return
        source = hash_content(self._settings, {"unread": raw.text.decode(errors="replace")})
        ident, whole = ident or source, self._settings.pseudonym(ALLERGY, ident or source)
        for fact in build_unread_facts(raw, error.rule, self._context):
            record = self._settings.pseudonym(ALLERGY, ident, fact.facet)
            chunk.drafts.append(
                (self._context.subject, fact.time, fact.code, None, fact.text, None, fact.kind, None, None, record,
                 None, source, raw.since, whole, _NO_ITEM)
            )  # fmt: skip
            chunk.touched.append((record, source, raw.since, whole, 0, 0, False, _NO_ITEM))

    def _spill_chunk(self, chunk: ProcessedChunk, errors: Mapping[int, ResourceError]) -> None:
        tables = (
            (DRAFTS, chunk.drafts, DRAFT_SCHEMA),
            (TOUCHED, chunk.touched, TOUCHED_SCHEMA),
            (WAITING, chunk.waiting, WAITING_SCHEMA),
        )
        for name, rows, schema in tables:
            frame = pl.DataFrame(rows, schema=schema | {"item": pl.Int64}, orient="row")
            sound = frame.filter(~pl.col("item").is_in(sorted(errors))).drop("item")
            write_rows(self._place / name, sound, "resource")
        if chunk.deletions:
            log = event_log.scan_events(self._settings)
            for touched in find_deleted_records(self._settings, log, chunk.deletions):
                write_rows(self._place / TOUCHED, touched, "resource")

    def _count_results(self, processed: list[tuple[RawResource, int]], errors: Mapping[int, ResourceError],
                       ignored: Mapping[int, str]) -> None:  # fmt: skip
        """Reject what is broken and count what is sound, in the order of the resources."""
        accounts = self.result.accounts
        for item, (raw, key) in enumerate(processed):
            if item in errors:
                self._count_rejected(raw, errors[item])
                continue
            if raw.row:
                self.result.sound_rows.append(raw.row)
                continue
            if item in ignored:
                self._count_ignored(ignored[item])
                continue
            accounts.accepted += 1
            index = None if raw.deleted else self._prescan.repeated.find_index(key)
            if index is not None:
                accounts.duplicates += self._seen[index]
                self._seen[index] = 1

    def _count_rejected(self, raw: RawResource, error: ResourceError) -> None:
        if not raw.row:
            accounts = self.result.accounts
            accounts.quarantined += 1
            accounts.by_rule[error.rule] = accounts.by_rule.get(error.rule, 0) + 1
        self._reject(raw, error)

    def _count_ignored(self, kind: str) -> None:
        """Count a resource of a type that is not read, or not the patient's ("Observation of fetus")."""
        accounts = self.result.accounts
        accounts.ignored += 1
        kind = kind if _TYPE.fullmatch(kind) else "(no type of FHIR)"  # a record's own text stays out of the ledger
        accounts.ignored_types[kind] = accounts.ignored_types.get(kind, 0) + 1
