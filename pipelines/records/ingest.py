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
from pipelines.records.deidentify.identifier_index import Names
from pipelines.records.deidentify.scrub import Scrubber
from pipelines.records.drops import Drop
from pipelines.records.extract.facts import Context
from pipelines.records.log import carryover, clock, event_log, ledger, quarantine, spill
from pipelines.records.log.draft_events import DRAFT_SCHEMA, DRAFTS, TOUCHED, TOUCHED_SCHEMA
from pipelines.records.log.ledger import Accounts, Entry
from pipelines.records.log.quarantine import WAITING, Row, row_of
from pipelines.records.log.versions import new_versions
from pipelines.records.prescan import Survey
from pipelines.records.processor import Reject, Sieve, Sifted
from pipelines.records.read.fhir_time import Micros, end_of
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pipelines.records.read.resources import read_resources
from pipelines.records.retry import line_of
from pmlm.settings import Settings

if TYPE_CHECKING:
    from pipelines.records.validate.values import ValuesTier

_NEW = "new"  # events to append, laid aside by patient


def import_drop(settings: Settings, path: Path, day: date) -> Accounts:
    """Append what a drop holds to the event log and return its accounts; a drop already taken in adds nothing.

    A drop older than one already taken in is known only from the latest day on. Raises ``RecordsError`` where
    ``path`` does not exist.
    """
    drop = Drop(day, path)
    ledger.remove_orphans(settings)
    spill.clear(settings)
    before = ledger.entry(settings, drop.night)
    if before is None or before.content != drop.content:
        before = _take_in(settings, drop, before)
    quarantine.rewrite(settings)
    clock.advance(settings)
    return before.accounts


def _take_in(settings: Settings, drop: Drop, before: Entry | None) -> Entry:
    # Great Expectations takes seconds to import: a drop that is already in must not wait for it.
    from pipelines.records.validate import data_docs
    from pipelines.records.validate.values import ValuesTier

    others = [e.night for e in ledger.entries(settings) if e.night != drop.night]
    end = end_of(max([drop.date, *(parse_night(n) for n in others)]))
    limit, skipped = settings.max_line_mb << 20, list[str]()
    names = Names(settings)
    names.load(drop.night)
    values = ValuesTier()
    with spill.folder(settings) as place:
        survey = Survey(settings, read_resources(drop.path, limit), names, place)
        with quarantine.writing(settings, drop.night) as stream, quarantine.finding(settings, drop.night) as held:
            lines = chain(read_resources(drop.path, limit, skipped), map(line_of, _waiting(settings, drop)))
            keep = _keeper(settings, drop, stream, held)
            found = judge(settings, lines, survey, names, end, drop.night, values, keep, place)
        own = before.batches if before else []
        batch = append(settings, drop.night, place, end, history=not others, own=own, told=end_of(drop.date))
    names.save(drop.night)
    carryover.save_medications(settings, drop.night, survey.medications)
    data_docs.build(settings, drop.night, values.results)
    accounts = found.accounts
    accounts.skipped_files = len(skipped)
    accounts.events = event_log.count(settings, batch)
    let_out = set(found.sound_rows)
    accounts.released = dict(sorted(Counter(r.rule for r in _waiting(settings, drop) if r.row in let_out).items()))
    entry = Entry(
        drop.night,
        drop.content,
        sorted({*(before.batches if before else []), *filter(None, (batch,))}),
        accounts,
        sorted({*(before.released if before else []), *let_out}),
    )
    ledger.write(settings, entry)
    return entry


def _waiting(settings: Settings, drop: Drop) -> Iterator[Row]:
    """Rows of other drops that this one may mend."""
    yield from (r for r in quarantine.rows(settings) if r.rule in WAITING and r.night != drop.night)


def _keeper(settings: Settings, drop: Drop, stream: IO[bytes], held: Callable[[str], Row | None]) -> Reject:
    """Writes a broken line of the drop to quarantine; a row edited there by hand stays as edited."""

    def keep(line: RawResource, broken: ResourceError) -> None:
        if line.row:
            return
        row = quarantine.id_of(settings, drop.night, line)
        quarantine.put(stream, held(row) or row_of(row, drop.night, line, broken))

    return keep


def judge(settings: Settings, lines: Iterable[RawResource], survey: Survey, names: Names, end: Micros, night: str,
          values: ValuesTier, reject: Reject, place: Path) -> Sifted:  # fmt: skip
    """Sift lines with everything known by ``end``; what they say is laid aside under ``place``."""
    drugs = carryover.medications(settings, night) | survey.medications
    context = Context(end, drugs, settings.pseudonym, Scrubber(names))
    patients = carryover.patients(settings) | survey.patients
    return Sieve(settings, survey, context, patients, values, reject, place).sift(lines)


def append(settings: Settings, night: str, place: Path, end: Micros, history: bool, own: list[str],
           told: Micros) -> str | None:  # fmt: skip
    """Write what is new to the log of what is laid aside as one batch; its name, or None where nothing is new.

    New versions are found some resources at a time and written some patients at a time.
    """
    events, written = event_log.scan(settings), event_log.scan_batches([settings.events / name for name in own])
    of = spill.shares(place / DRAFTS, place / TOUCHED)
    for at in range(of):
        drafts = spill.share(place / DRAFTS, "resource", at, of, DRAFT_SCHEMA).drop("resource")
        touched = spill.share(place / TOUCHED, "resource", at, of, TOUCHED_SCHEMA).drop("resource")
        new = new_versions(events, written, drafts, touched, end, history, told)
        spill.lay(place / _NEW, new, "subject_id")
    of = spill.shares(place / _NEW)
    if not of:
        return None
    return event_log.write_in_order(
        settings, night, (spill.share(place / _NEW, "subject_id", at, of, {}) for at in range(of))
    )
