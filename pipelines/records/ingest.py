"""Take one drop in: read, check, validate, de-identify, append. Whole or not at all.

Order of writes: event batch, quarantine, names, Data Docs, then the ledger entry, which makes the import count.
Killed before it, the next import starts over; killed after it, the next import finishes the housekeeping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pipelines.night_dates import parse_night
from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.drops import Drop
from pipelines.records.extract.facts import ExtractionContext
from pipelines.records.log import carryover, clock, event_log, ledger, quarantine, spill
from pipelines.records.log.draft_events import DRAFT_SCHEMA, DRAFTS, TOUCHED, TOUCHED_SCHEMA
from pipelines.records.log.ledger import Accounts, LedgerEntry
from pipelines.records.log.quarantine import RETRIED_RULES, QuarantineRow, make_row
from pipelines.records.log.versions import find_new_versions
from pipelines.records.prescan import Prescan
from pipelines.records.processor import DropProcessor, ProcessedDrop, Reject
from pipelines.records.read.fhir_time import Micros, end_of
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pipelines.records.read.resources import read_resources
from pipelines.records.retry import parse_row
from pmlm.settings import Settings

if TYPE_CHECKING:
    from pipelines.records.validate.values import ValueValidator

_NEW = "new"  # events to append, laid aside by patient


def import_drop(settings: Settings, path: Path, day: date) -> Accounts:
    """Append what a drop holds to the event log and return its accounts; a drop already taken in adds nothing.

    A drop older than one already taken in is known only from the latest day on. Raises ``RecordsError`` where
    ``path`` does not exist.
    """
    drop = Drop(day, path)
    ledger.remove_orphans(settings)
    spill.clear(settings)
    before = ledger.read_entry(settings, drop.night)
    if before is None or before.content != drop.content:
        before = _ingest(settings, drop, before)
    quarantine.rewrite_files(settings)
    clock.advance_clock(settings)
    return before.accounts


def _ingest(settings: Settings, drop: Drop, before: LedgerEntry | None) -> LedgerEntry:
    # Great Expectations takes seconds to import: a drop that is already in must not wait for it.
    from pipelines.records.validate import data_docs
    from pipelines.records.validate.values import ValueValidator

    others = [e.night for e in ledger.read_entries(settings) if e.night != drop.night]
    end = end_of(max([drop.date, *(parse_night(n) for n in others)]))
    limit, skipped = settings.max_line_mb << 20, list[str]()
    names = IdentifierIndex(settings)
    names.load(drop.night)
    values = ValueValidator()
    with spill.create_folder(settings) as place:
        survey = Prescan(settings, read_resources(drop.path, limit), names, place)
        with (
            quarantine.open_writer(settings, drop.night) as stream,
            quarantine.open_lookup(settings, drop.night) as held,
        ):
            lines = chain(read_resources(drop.path, limit, skipped), map(parse_row, _read_retried_rows(settings, drop)))
            keep = _make_quarantiner(settings, drop, stream, held)
            found = process_resources(settings, lines, survey, names, end, drop.night, values, keep, place)
        own = before.batches if before else []
        batch = append_events(settings, drop.night, place, end, history=not others, own=own, told=end_of(drop.date))
    names.save(drop.night)
    carryover.save_medications(settings, drop.night, survey.medications)
    data_docs.build_site(settings, drop.night, values.results)
    accounts = found.accounts
    accounts.skipped_files = len(skipped)
    accounts.events = event_log.count_events(settings, batch)
    let_out = set(found.sound_rows)
    accounts.released = dict(
        sorted(Counter(r.rule for r in _read_retried_rows(settings, drop) if r.row in let_out).items())
    )
    entry = LedgerEntry(
        drop.night,
        drop.content,
        sorted({*(before.batches if before else []), *filter(None, (batch,))}),
        accounts,
        sorted({*(before.released if before else []), *let_out}),
    )
    ledger.write_entry(settings, entry)
    return entry


def _read_retried_rows(settings: Settings, drop: Drop) -> Iterator[QuarantineRow]:
    """Rows of other drops that this one may mend."""
    yield from (r for r in quarantine.read_rows(settings) if r.rule in RETRIED_RULES and r.night != drop.night)


def _make_quarantiner(
    settings: Settings, drop: Drop, stream: IO[bytes], held: Callable[[str], QuarantineRow | None]
) -> Reject:
    """Writes a broken line of the drop to quarantine; a row edited there by hand stays as edited."""

    def keep(line: RawResource, broken: ResourceError) -> None:
        if line.row:
            return
        row = quarantine.compute_row_id(settings, drop.night, line)
        quarantine.write_row(stream, held(row) or make_row(row, drop.night, line, broken))

    return keep


def process_resources(settings: Settings, lines: Iterable[RawResource], survey: Prescan, names: IdentifierIndex, end: Micros, night: str,
          values: ValueValidator, reject: Reject, place: Path) -> ProcessedDrop:  # fmt: skip
    """Sift lines with everything known by ``end``; what they say is laid aside under ``place``."""
    drugs = carryover.read_medications(settings, night) | survey.medications
    context = ExtractionContext(end, drugs, settings.pseudonym, Scrubber(names))
    patients = carryover.read_patients(settings) | survey.patients
    return DropProcessor(settings, survey, context, patients, values, reject, place).sift(lines)


def append_events(settings: Settings, night: str, place: Path, end: Micros, history: bool, own: list[str],
           told: Micros) -> str | None:  # fmt: skip
    """Write what is new to the log of what is laid aside as one batch; its name, or None where nothing is new.

    New versions are found some resources at a time and written some patients at a time.
    """
    events, written = event_log.scan_events(settings), event_log.scan_batches([settings.events / name for name in own])
    of = spill.count_shares(place / DRAFTS, place / TOUCHED)
    for at in range(of):
        drafts = spill.read_share(place / DRAFTS, "resource", at, of, DRAFT_SCHEMA).drop("resource")
        touched = spill.read_share(place / TOUCHED, "resource", at, of, TOUCHED_SCHEMA).drop("resource")
        new = find_new_versions(events, written, drafts, touched, end, history, told)
        spill.write_rows(place / _NEW, new, "subject_id")
    of = spill.count_shares(place / _NEW)
    if not of:
        return None
    return event_log.write_batch_parts(
        settings, night, (spill.read_share(place / _NEW, "subject_id", at, of, {}) for at in range(of))
    )
