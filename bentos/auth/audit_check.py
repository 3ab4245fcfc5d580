"""Check the audit record's chain: which lines were removed, changed, moved or cut off.

Two things say how far the chain went, so that lines cut off at the end are missed: its head, and each night's record of
it (``figures.audit`` in ``runs/<night>/save.json``). Files and head put back together to an older state show up to the
last night saved; what came after it does not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from bentos.auth import audit_chain, audit_erasure
from bentos.auth.audit_chain import ChainEnd
from pmlm.settings import Settings


@dataclass(slots=True)
class AuditCheck:
    """What ``pmlm audit verify`` found.

    ``before`` are lines of versions that did not chain, ``torn`` lines that a crash has cut and that the chain does
    not know, ``erased`` lines whose patient was erased (``auth.audit_erasure``). ``findings`` name file, line and
    number of everything that is not as it was written, the first bad line first. Up to number ``saved`` a night's
    record has confirmed the chain.
    """

    lines: int = 0
    before: int = 0
    torn: int = 0
    erased: int = 0
    last: int = 0
    chain: str = ""
    saved: int = 0
    findings: list[str] = field(default_factory=list)


#: What is wrong, and the number of the line at which it is.
_Finding = tuple[float, str]


class _Gaps:
    """The numbers that were passed over, as ranges."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def add(self, first: int, last: int) -> None:
        self.ranges.append((first, last))

    def remove(self, number: int) -> bool:
        """Whether the number was passed over; it is no longer."""
        for index, (first, last) in enumerate(self.ranges):
            if first <= number <= last:
                rest = [(first, number - 1), (number + 1, last)]
                self.ranges[index : index + 1] = [(a, b) for a, b in rest if a <= b]
                return True
        return False


@dataclass(slots=True)
class _RecordReading:
    """What is known while the lines are read in order."""

    settings: Settings
    check: AuditCheck
    saved: dict[int, tuple[str, str]]
    gaps: _Gaps = field(default_factory=_Gaps)
    before: list[bytes] = field(default_factory=list)
    found: list[_Finding] = field(default_factory=list)

    def add(self, number: float, finding: str) -> None:
        self.found.append((number, finding))


def verify(settings: Settings, folder: Path) -> AuditCheck:
    """Check every line of the record against the chain, the chain's head and what nights recorded of it."""
    head = audit_chain.read_head(settings)  # before the lines, which others may append to meanwhile
    reading = _RecordReading(settings, AuditCheck(), read_saved_ends(settings))
    for path in audit_chain.list_files(folder):
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    _check_line(reading, f"{path.name} line {number}", line)
    for first, last in reading.gaps.ranges:
        words = f"number {first} is missing" if first == last else f"numbers {first} to {last} are missing"
        reading.add(first, words)
    _check_end(reading, head)
    reading.check.findings = [finding for _, finding in sorted(reading.found, key=lambda found: found[0])]
    return reading.check


def read_saved_ends(settings: Settings) -> dict[int, tuple[str, str]]:
    """How far the chain went when each night was saved: number → (night, chain)."""
    ends: dict[int, tuple[str, str]] = {}
    for path in sorted(settings.runs.glob("[0-9]*/save.json")):
        try:
            end = json.loads(path.read_bytes())["figures"]["audit"]
            ends[int(end["seq"])] = (path.parent.name, str(end["chain"]))
        except (ValueError, KeyError, TypeError):  # of a version that recorded none
            continue
    return ends


def _check_line(reading: _RecordReading, place: str, line: bytes) -> None:
    found, check = audit_chain.split_line(line), reading.check
    if found is None:
        _count_unchained(reading, place, line)
        return
    body, number, chain = found
    check.lines += 1
    place = f"{place} (number {number})"
    if number <= check.last:
        how = "stands out of order" if reading.gaps.remove(number) else "is repeated or was changed"
        reading.add(number, f"{place} {how}")
        return
    if number == check.last + 1:
        if audit_chain.compute_chain(reading.settings, check.chain, body) != chain and not _count_sealed(reading, line):
            reading.add(number, f"{place} was changed")
        elif number == 1 and not _is_before(reading, body):
            reading.add(number, f"{place}: the {check.before} lines before the chain were changed")
        elif number in reading.saved and reading.saved[number][1] != chain:
            reading.add(number, f"{place} is not the line that night {reading.saved[number][0]} recorded")
    else:
        reading.gaps.add(check.last + 1, number - 1)
    if b',"head":"lost","seq":' in body:
        reading.add(number, f"{place}: the chain's head was lost before it, so lines may have been cut off there")
    check.last, check.chain = number, chain


def _count_sealed(reading: _RecordReading, line: bytes) -> bool:
    """Whether the line is sealed because its patient was erased; then it is counted."""
    sealed = audit_erasure.is_sealed(reading.settings, line)
    reading.check.erased += sealed
    return sealed


def _is_before(reading: _RecordReading, body: bytes) -> bool:
    """Whether the lines before the chain are those that its first line covers, or as an erasure left them."""
    covered = json.loads(body + b"}").get("before") == audit_chain.compute_before(reading.before)
    return covered or audit_erasure.is_restated(reading.settings, reading.before)


def _count_unchained(reading: _RecordReading, place: str, line: bytes) -> None:
    check = reading.check
    if not check.last:
        reading.before.append(line)
        check.before += 1
        return
    try:
        json.loads(line)
    except ValueError:
        check.torn += 1
    else:
        reading.add(check.last + 0.5, f"{place} has no chain: it was inserted or changed")


def _check_end(reading: _RecordReading, head: ChainEnd | None) -> None:
    """Whether lines were cut off at the end."""
    last, saved = reading.check.last, max(reading.saved, default=0)
    reading.check.saved = min(saved, last)
    if head is None and (last or saved):
        reading.add(last + 1, "the chain's head is missing or was changed: lines may have been cut off")
    known = max(head.seq if head else 0, saved)
    if known > last:
        missing = f"number {known} is missing" if known == last + 1 else f"numbers {last + 1} to {known} are missing"
        reading.add(last + 1, f"{missing} at the end")
