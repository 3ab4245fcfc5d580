"""Try quarantined rows again after a mend: of the row in the store, its line in the drop, or what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipelines.night_dates import parse_night
from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.drops import list_drops
from pipelines.records.ingest import append_events, process_resources
from pipelines.records.log import carryover, clock, event_log, ledger, quarantine, spill
from pipelines.records.log.quarantine import QuarantineRow, make_row
from pipelines.records.prescan import Prescan
from pipelines.records.read.fhir_time import end_of
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pipelines.records.read.resources import read_resources
from pipelines.records.retry import parse_row
from pmlm.settings import Settings


@dataclass(slots=True)
class ReplayResult:
    """How many rows were tried, how many let out by the rule that had held them, and how many are still held."""

    tried: int = 0
    released: dict[str, int] = field(default_factory=dict)
    held: int = 0
    events: int = 0


def replay_quarantine(settings: Settings, rule: str | None = None) -> ReplayResult:
    """Judge quarantined rows (of one rule, or all) anew; what is sound now becomes known today, at the clinic's clock.

    Idempotent: a row is let out once. A row that breaks another rule now is held under that one.
    """
    from pipelines.records.validate.values import (
        ValueValidator,  # seconds to import: only where there is something to validate
    )

    ledger.remove_orphans(settings)
    entries = ledger.read_entries(settings)
    rows = {r.row: r for r in _read_current_rows(settings) if rule in (None, r.rule)}
    if not rows or not entries:
        return ReplayResult()
    latest = entries[-1]
    end = end_of(parse_night(latest.night))
    still: dict[str, QuarantineRow] = {}

    def keep(line: RawResource, broken: ResourceError) -> None:
        still[line.row] = replace(rows[line.row], rule=broken.rule, reason=broken.reason)

    names = IdentifierIndex(settings)
    names.load(latest.night)
    with spill.create_folder(settings) as place:
        survey = Prescan(settings, map(parse_row, rows.values()), names, place)
        lines = map(parse_row, rows.values())
        found = process_resources(settings, lines, survey, names, end, latest.night, ValueValidator(), keep, place)
        batch = append_events(settings, latest.night, place, end, history=len(entries) == 1, own=[], told=end)
    names.save(latest.night)
    carryover.save_medications(settings, latest.night, survey.medications)
    latest.batches = sorted({*latest.batches, *filter(None, (batch,))})
    latest.released = sorted({*latest.released, *found.sound_rows})
    ledger.write_entry(settings, latest)
    quarantine.rewrite_files(settings, still.values())
    clock.advance_clock(settings)
    released = Counter(rows[r].rule for r in found.sound_rows)
    return ReplayResult(len(rows), dict(sorted(released.items())), len(still), event_log.count_events(settings, batch))


def _read_current_rows(settings: Settings) -> Iterator[QuarantineRow]:
    """The rows held, each with its line as the drop now has it where that was changed since."""
    paths = {d.night: d.path for d in list_drops(settings)} if settings.drops.exists() else {}
    by_night: dict[str, list[QuarantineRow]] = {}
    for row in quarantine.read_rows(settings):
        by_night.setdefault(row.night, []).append(row)
    for night, rows in by_night.items():
        wanted = {(r.file, r.line, r.entry) for r in rows}
        present = dict[tuple[str, int, int], RawResource]()
        if night in paths:
            limit = settings.max_line_mb << 20
            found = (
                line for line in read_resources(paths[night], limit) if (line.file, line.number, line.entry) in wanted
            )
            present = {(line.file, line.number, line.entry): line for line in found}
        for row in rows:
            yield _update_row(settings, row, present.get((row.file, row.line, row.entry)))


def _update_row(settings: Settings, row: QuarantineRow, line: RawResource | None) -> QuarantineRow:
    """The row with the drop's text where the drop was changed after the row was quarantined."""
    if line is None or line.broken is not None or quarantine.compute_row_id(settings, row.night, line) == row.row:
        return row
    return make_row(row.row, row.night, line, ResourceError(row.rule, row.reason))
