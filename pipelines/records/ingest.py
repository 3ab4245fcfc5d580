"""Ingest one drop: read, check, extract, de-identify, validate, append. All of it or nothing.

Order of writes: quarantine, event batch, identifiers, Data Docs, then the ledger entry, which makes the import count.
After a kill before it, the next import starts over; after a kill behind it, the next import finishes the housekeeping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pipelines.night_dates import end_of_day, parse_night
from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.drops import Drop, hash_drop
from pipelines.records.extract.facts import ExtractionContext
from pipelines.records.interpret.specimen_links import find_foreign_records, load_earlier_specimens, save_links
from pipelines.records.log import carryover, event_log, known_versions, ledger, quarantine, spill
from pipelines.records.log.known_versions import KnownAllergies
from pipelines.records.log.ledger import Accounts, LedgerEntry
from pipelines.records.log.quarantine import QuarantineRow
from pipelines.records.log.versions import DRAFT_SCHEMA, DRAFTS, TOUCHED, TOUCHED_SCHEMA, find_new_versions
from pipelines.records.prescan import Prescan
from pipelines.records.processor import DropProcessor, ProcessedDrop, RejectCallback
from pipelines.records.read.archives import show_name
from pipelines.records.read.code_map import CodeMap, load_code_map, map_codes
from pipelines.records.read.fhir_time import Micros, to_micros
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pipelines.records.read.resources import read_resources
from pipelines.records.refusals import RefusedRecords
from pipelines.records.terminology import read_translations
from pmlm.errors import RecordsError
from pmlm.settings import Settings
from pmlm.workspace_lock import lock_writing

if TYPE_CHECKING:
    from pipelines.records.validate.values import ValueValidator

_NEW_EVENTS = "new"  # place in the spill folder, by patient

#: What systems export besides FHIR, by a file's ending: nothing of it is read, and a user should not believe so.
FOREIGN_FORMATS = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".xlsx": "Excel",
    ".xls": "Excel",
    ".xml": "XML",
    ".hl7": "HL7 version 2",
    ".pdf": "PDF",
    ".sql": "SQL",
}


def import_drop(settings: Settings, path: Path, day: date) -> Accounts:
    """Append a drop's events to the log; return its accounts. A second time adds nothing.

    The content of a drop older than the last one is known only from the last drop's day on. Raises ``RecordsError``
    where ``path`` does not exist, or has no resource and should (``_refuse_without_resources``).
    """
    with lock_writing(settings):
        drop = Drop(day, path)
        drop.check_unchanged()  # notes the files' state before the first byte is read
        ledger.remove_orphans(settings)
        entry, codes = ledger.read_entry(settings, drop.night), load_codes(settings)
        if entry is None or entry.content != hash_drop(drop, codes.digest):
            entry = _ingest(settings, drop, entry, codes)
        quarantine.rewrite_files(settings)
        event_log.advance_clock(settings)
        return entry.accounts


def load_codes(settings: Settings) -> CodeMap:
    """Load what the clinic's own codes mean, by its own files and the terminology server's answers."""
    return load_code_map(settings.drops, read_translations(settings))


def _ingest(settings: Settings, drop: Drop, former: LedgerEntry | None, codes: CodeMap) -> LedgerEntry:
    """Process a new or changed drop, its own codes by ``codes``; ``former`` is its ledger entry before the change."""
    # Great Expectations takes seconds to import: a drop that is already in the log must not wait for it.
    from pipelines.records.validate import data_docs
    from pipelines.records.validate.values import ValueValidator

    others = [e.night for e in ledger.read_entries(settings) if e.night != drop.night]
    end, drop_end = (to_micros(end_of_day(d)) for d in (max([drop.date, *map(parse_night, others)]), drop.date))
    own = former.batches if former else []
    index = IdentifierIndex(settings)
    index.load(drop.night)
    validator, skipped = ValueValidator(), list[str]()
    with spill.create_folder(settings) as place:
        resources = map_codes(
            RefusedRecords(settings).pass_on(read_resources(drop.path, settings.max_line_mb << 20)), codes
        )
        prescan = Prescan(settings, resources, index, place)
        for row in _read_retried_rows(settings, drop):
            prescan.specimens.want(quarantine.parse_row(row).resource or {})
        processed = _process_drop(settings, drop, skipped, prescan, index, end, validator, place, codes)
        if not processed.accounts.read:
            _refuse_without_resources(drop, skipped, first=not others)
        batch = append_events(settings, drop.night, others, place, end, own, drop_end)
    index.save(drop.night)
    carryover.save_medications(settings, drop.night, prescan.medications)
    data_docs.build_site(settings, drop.night, validator.results)
    released = set(processed.sound_rows)
    rules = Counter(row.rule for row in _read_retried_rows(settings, drop) if row.row in released)
    accounts = processed.accounts
    accounts.skipped_files = len(skipped)
    accounts.events = event_log.count_events(settings, batch)
    accounts.released = dict(sorted(rules.items()))
    batches = sorted({*own, *filter(None, (batch,))})
    released |= set(former.released if former else ())
    entry = LedgerEntry(drop.night, hash_drop(drop, codes.digest), batches, accounts, sorted(released))
    ledger.write_entry(settings, entry)
    return entry


def _refuse_without_resources(drop: Drop, skipped: Sequence[str], first: bool) -> None:
    """Raise ``RecordsError`` for a drop whose files are of a format that is not read, or a first drop without any.

    A later drop without files, or with an export's manifest alone, is a night without news.
    """
    foreign = next(
        (f"{name} is {kind}" for name in skipped if (kind := FOREIGN_FORMATS.get(PurePath(name).suffix))), ""
    )
    if foreign or first:
        found = foreign or (f"no file of {len(skipped)} is FHIR" if skipped else "no file in it")
        raise RecordsError(f"0 resources in {show_name(drop.path.name)}; {found}: FHIR NDJSON or Bundles are read")


def _process_drop(settings: Settings, drop: Drop, skipped: list[str], prescan: Prescan, index: IdentifierIndex,
                  end: Micros, validator: ValueValidator, place: Path, codes: CodeMap) -> ProcessedDrop:  # fmt: skip
    """Process the drop's resources and retried quarantine rows; write the drop's quarantine file."""
    refused = RefusedRecords(settings)
    resources = refused.pass_on(read_resources(drop.path, settings.max_line_mb << 20, skipped))
    retried = map(quarantine.parse_row, _read_retried_rows(settings, drop))
    with (
        quarantine.open_writer(settings, drop.night) as stream,
        quarantine.open_lookup(settings, drop.night) as find_row,
    ):

        def reject(raw: RawResource, error: ResourceError) -> None:
            if raw.row:  # it stays in its own drop's quarantine
                return
            row = quarantine.compute_row_id(settings, drop.night, raw)
            # a row that was edited by hand stays as edited
            quarantine.write_row(stream, find_row(row) or quarantine.make_row(row, drop.night, raw, error))

        raws = map_codes(chain(resources, retried), codes)
        processed = process_resources(settings, raws, prescan, index, end, drop.night, validator, reject, place)
        drop.check_unchanged()
        refused.add_to(processed.accounts)
        return processed


def _read_retried_rows(settings: Settings, drop: Drop) -> Iterator[QuarantineRow]:
    """Yield the quarantine rows of other drops that this one may release."""
    for row in quarantine.read_rows(settings):
        if row.rule in quarantine.RETRIED_RULES and row.night != drop.night:
            yield row


def process_resources(settings: Settings, raws: Iterable[RawResource], prescan: Prescan, index: IdentifierIndex,
                      end: Micros, night: str, validator: ValueValidator, reject: RejectCallback,
                      place: Path) -> ProcessedDrop:  # fmt: skip
    """Process resources with all that is known by ``end``; spill their drafts under ``place``."""
    drugs = carryover.read_medications(settings, night) | prescan.medications
    find_specimen = prescan.specimens.find_subject
    last_active = carryover.read_last_active(settings, night)
    context = ExtractionContext(end, drugs, settings.pseudonym, Scrubber(index), find_specimen, last_active=last_active)
    patients = carryover.read_patients(settings) | prescan.patients
    others = [entry.night for entry in ledger.read_entries(settings) if entry.night != night]
    allergies = KnownAllergies(settings, others)
    load_earlier_specimens(settings, others, prescan.specimens)
    processed = DropProcessor(settings, prescan, context, patients, allergies, validator, reject, place).process(raws)
    carryover.save_active(settings, night, context.active)
    save_links(settings, night, prescan.specimens, place)
    for foreign in find_foreign_records(settings, others, prescan.specimens, end):
        spill.write_rows(place / TOUCHED, foreign, "resource")
    return processed


def append_events(settings: Settings, night: str, others: list[str], place: Path, end: Micros, own: list[str],
                  drop_end: Micros) -> str | None:  # fmt: skip
    """Write the spilled drafts that are new as one batch, and the versions they state; its name, or None.

    New versions are found in shares of resources and written in shares of patients. ``others`` are the nights of the
    other drops; the further arguments are those of ``find_new_versions``.
    """
    log, written = event_log.scan_events(settings), event_log.scan_batches([settings.events / name for name in own])
    shares = spill.count_shares(place / DRAFTS, place / TOUCHED)
    for index in range(shares):
        drafts = spill.read_share(place / DRAFTS, "resource", index, shares, DRAFT_SCHEMA).drop("resource")
        touched = spill.read_share(place / TOUCHED, "resource", index, shares, TOUCHED_SCHEMA)
        verdicts = known_versions.find_verdicts(settings, others, touched)
        known_versions.spill_versions(place, touched)
        touched = touched.select("record", "source", "since")
        new = find_new_versions(log, written, drafts, touched, verdicts, end, not others, drop_end)
        spill.write_rows(place / _NEW_EVENTS, new, "subject_id")
    known_versions.save_versions(settings, night, place)
    shares = spill.count_shares(place / _NEW_EVENTS)
    if not shares:
        return None
    parts = (spill.read_share(place / _NEW_EVENTS, "subject_id", index, shares, {}) for index in range(shares))
    return event_log.write_batch_parts(settings, night, parts)
