"""Find the line of a drop behind an event's source hash, and read a line.

    source = keyed hash of the resource's content       (``records.read.identity.hash_content``)

No index is stored: the drops are read again, that of the event's own night first. A line that was mended in quarantine
is in no drop, and one that was changed since has another hash: neither is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pipelines.records.drops import Drop, list_drops
from pipelines.records.read.archives import show_name
from pipelines.records.read.code_map import CodeMap, load_code_map, map_codes
from pipelines.records.read.identity import hash_content
from pipelines.records.read.raw_resource import RawResource
from pipelines.records.read.resources import read_resources
from pipelines.records.terminology import read_translations
from pmlm.errors import RecordsError
from pmlm.settings import Settings

UNREAD_KIND = "allergy.unread"  # an allergy in quarantine: its source is a hash of the raw text
_PLACE = re.compile(r"(?P<file>.+):(?P<line>[1-9][0-9]{0,11})")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where a resource stands: ``file`` relative to the clinic's folder, ``line`` from 1.

    ``entry`` is its place in a Bundle or array, 0 for a line of its own. ``sha256`` is of the line's bytes without its
    end, as ``sha256sum`` gives it; None for an entry and for a row of a table. ``type`` is the resource's.
    """

    night: str
    file: str
    line: int
    entry: int
    type: str
    source: str
    sha256: str | None


def find_lines(settings: Settings, wanted: Mapping[str, Iterable[str]], unread: bool = False) -> dict[str, SourceLine]:
    """Find, by source hash, the first line of each; ``wanted`` has the hashes by the night of their events.

    What a night's own drop does not have is looked for in the others: a resource may have waited in quarantine.
    ``unread``: hashes of allergies that could not be read are among them.
    """
    codes, drops = load_codes(settings), list_present_drops(settings)
    missing = {night: set(sources) for night, sources in wanted.items()}
    found: dict[str, SourceLine] = {}
    for drop in drops:
        if own := missing.get(drop.night):
            found |= _scan_drop(settings, drop, own, codes, unread)
    rest = {source for sources in missing.values() for source in sources} - found.keys()
    for drop in drops:
        if rest := rest - found.keys():
            found |= _scan_drop(settings, drop, rest, codes, unread)
    return found


def read_line(settings: Settings, place: str) -> list[SourceLine]:
    """Read the resources that stand on a line, ``FILE:LINE``; several where it is a Bundle.

    FILE is a path, or relative to the clinic's folder. Raises ``RecordsError`` where no drop has such a line.
    """
    parsed = _PLACE.fullmatch(place)
    if parsed is None:
        raise RecordsError(f"{place}: not of the form FILE:LINE, such as 2026-06-01/Condition.ndjson.gz:12")
    drop, name = _find_file(settings, parsed["file"])
    number, lines = int(parsed["line"]), list[SourceLine]()
    for raw in _read_file(settings, drop, name):
        if raw.line > number:
            break
        if raw.line == number:
            resource = raw.resource or {}
            kind = resource.get("resourceType")
            lines.append(_describe(settings, drop, name, raw, kind if isinstance(kind, str) else ""))
    if not lines:
        raise RecordsError(f"{parsed['file']}: no resource stands on line {number}")
    return lines


def load_codes(settings: Settings) -> CodeMap:
    """Load what the clinic's own codes mean, as an import does."""
    return load_code_map(settings.drops, read_translations(settings))


def list_present_drops(settings: Settings) -> list[Drop]:
    """The clinic's drops; none where its folder is not there, as after a move: the rest of a trace still is."""
    return list_drops(settings) if settings.drops.exists() else []


def _scan_drop(settings: Settings, drop: Drop, wanted: set[str], codes: CodeMap, unread: bool) -> dict[str, SourceLine]:
    found: dict[str, SourceLine] = {}
    for raw in map_codes(read_resources(drop.path, settings.max_line_mb << 20), codes):
        if unread and b"AllergyIntolerance" in raw.text:
            source = hash_unread(settings, raw)
            if source in wanted and source not in found:
                found[source] = _describe(settings, drop, raw.file, raw, "AllergyIntolerance", source)
        if raw.resource is not None:
            source = hash_content(settings, raw.resource)
            if source in wanted and source not in found:
                kind = raw.resource.get("resourceType")
                found[source] = _describe(settings, drop, raw.file, raw, str(kind or ""), source)
        if len(found) == len(wanted):
            break
    return found


def hash_unread(settings: Settings, raw: RawResource) -> str:
    """The source of the facts that stand for an allergy that could not be read."""
    return hash_content(settings, {"unread": raw.text.decode(errors="replace")})


def _describe(
    settings: Settings, drop: Drop, name: str, raw: RawResource, kind: str, source: str | None = None
) -> SourceLine:
    source = source or (
        hash_content(settings, raw.resource) if raw.resource is not None else hash_unread(settings, raw)
    )
    plain = raw.data and not raw.entry and not name.endswith(".parquet")
    digest = sha256(raw.data).hexdigest() if plain else None
    file = name if drop.path == settings.drops else f"{drop.path.name}/{name}"
    return SourceLine(drop.night, file, raw.line, raw.entry, kind, source, digest)


def _find_file(settings: Settings, text: str) -> tuple[Drop, str]:
    """The drop that a file is of, and the file's name in it; ``RecordsError`` for none."""
    stated = (Path(text), settings.drops / text)
    for drop in list_drops(settings):
        folder = drop.path.resolve()
        for path in (one.resolve() for one in stated):
            if path.is_relative_to(folder) and path != folder:
                name = path.relative_to(folder)
                if path.is_file() or any((folder / parent).is_file() for parent in name.parents):
                    return drop, show_name(name)
    raise RecordsError(f"{text}: no such file in a drop of {settings.drops}")


def _read_file(settings: Settings, drop: Drop, name: str) -> Iterator[RawResource]:
    """The resources of one file of a drop, or of one member of an archive."""
    limit, path = settings.max_line_mb << 20, drop.path / name
    raws = read_resources(path if path.is_file() else drop.path, limit)
    wanted = path.name if path.is_file() else name
    yield from map_codes((raw for raw in raws if raw.file == wanted), load_codes(settings))
