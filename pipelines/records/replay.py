"""Retry quarantined rows after corrections of rows, drops or what they wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipelines.night_dates import end_of_night
from pipelines.records.deidentify.identifier_index import IdentifierIndex
from pipelines.records.drops import list_drops
from pipelines.records.ingest import append_events, load_codes, process_resources
from pipelines.records.log import carryover, event_log, ledger, quarantine, spill
from pipelines.records.log.quarantine import QuarantineRow
from pipelines.records.prescan import Prescan
from pipelines.records.read.code_map import map_codes
from pipelines.records.read.fhir_time import to_micros
from pipelines.records.read.raw_resource import RawResource, ResourceError
from pipelines.records.read.resources import read_resources
from pmlm.settings import Settings
from pmlm.workspace_lock import lock_writing


@dataclass(slots=True)
class ReplayResult:
    """Rows tried, released (by rule) and still quarantined (``held``), and new events.

    The field names are the keys of ``pmlm quarantine replay --json``.
    """

    tried: int = 0
    released: dict[str, int] = field(default_factory=dict)
    held: int = 0
    events: int = 0


def replay_quarantine(settings: Settings, rule: str | None = None) -> ReplayResult:
    """Process quarantined rows (of one rule, or all) again.

    What is sound now becomes known today, by the clinic's clock. A row is released once; a row that breaks another
    rule now stays under that one.
    """
    with lock_writing(settings):
        return _replay(settings, rule)


def _replay(settings: Settings, rule: str | None) -> ReplayResult:
    # seconds to import: only where there is something to validate
    from pipelines.records.validate.values import ValueValidator

    ledger.remove_orphans(settings)
    entries = ledger.read_entries(settings)
    rows = {r.row: r for r in _read_current_rows(settings) if rule in (None, r.rule)}
    if not rows or not entries:
        return ReplayResult()
    latest, others = entries[-1], [entry.night for entry in entries[:-1]]
    end = to_micros(end_of_night(latest.night))
    remaining: dict[str, QuarantineRow] = {}

    def reject(raw: RawResource, error: ResourceError) -> None:
        remaining[raw.row] = replace(rows[raw.row], rule=error.rule, reason=error.reason)

    index = IdentifierIndex(settings)
    index.load(latest.night)
    with spill.create_folder(settings) as place:
        codes = load_codes(settings)
        prescan = Prescan(settings, map_codes(map(quarantine.parse_row, rows.values()), codes), index, place)
        raws = map_codes(map(quarantine.parse_row, rows.values()), codes)
        validator = ValueValidator()
        processed = process_resources(settings, raws, prescan, index, end, latest.night, validator, reject, place)
        batch = append_events(settings, latest.night, others, place, end, own=[], drop_end=end)
    index.save(latest.night)
    carryover.save_medications(settings, latest.night, prescan.medications)
    latest.batches = sorted({*latest.batches, *filter(None, (batch,))})
    latest.released = sorted({*latest.released, *processed.sound_rows})
    ledger.write_entry(settings, latest)
    quarantine.rewrite_files(settings, remaining.values())
    event_log.advance_clock(settings)
    released = Counter(rows[row].rule for row in processed.sound_rows)
    events = event_log.count_events(settings, batch)
    return ReplayResult(len(rows), dict(sorted(released.items())), len(remaining), events)


def _read_current_rows(settings: Settings) -> Iterator[QuarantineRow]:
    """Yield the quarantine rows, each updated from its drop where the drop was changed since."""
    paths = {d.night: d.path for d in list_drops(settings)} if settings.drops.exists() else {}
    by_night: dict[str, list[QuarantineRow]] = {}
    for row in quarantine.read_rows(settings):
        by_night.setdefault(row.night, []).append(row)
    for night, rows in by_night.items():
        wanted = {(r.file, r.line, r.entry) for r in rows}
        present = dict[tuple[str, int, int], RawResource]()
        if night in paths:
            for raw in read_resources(paths[night], settings.max_line_mb << 20):
                if (place := (raw.file, raw.line, raw.entry)) in wanted:
                    present[place] = raw
        for row in rows:
            yield _update_row(settings, row, present.get((row.file, row.line, row.entry)))


def _update_row(settings: Settings, row: QuarantineRow, raw: RawResource | None) -> QuarantineRow:
    """The row with the drop's text where that was changed after the row was quarantined."""
    if raw is None or raw.error is not None or quarantine.compute_row_id(settings, row.night, raw) == row.row:
        return row
    return quarantine.make_row(row.row, row.night, raw, ResourceError(row.rule, row.reason))
