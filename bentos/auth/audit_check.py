"""Check the audit record's chain: which lines were removed, changed, moved or cut off."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from bentos.auth import audit_chain
from bentos.auth.audit_chain import ChainEnd
from pmlm.settings import Settings


@dataclass(slots=True)
class AuditCheck:
    """What ``pmlm audit verify`` found.

    ``before`` are lines of versions that did not chain, ``torn`` lines that a crash has cut and that the chain does
    not know. ``findings`` name file, line and number of everything that is not as it was written.
    """

    lines: int = 0
    before: int = 0
    torn: int = 0
    last: int = 0
    chain: str = ""
    findings: list[str] = field(default_factory=list)


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


def verify(settings: Settings, folder: Path) -> AuditCheck:
    """Check every line of the record against the chain and the chain's head."""
    head = audit_chain.read_head(settings)  # before the lines, which others may append to meanwhile
    check, gaps, before = AuditCheck(), _Gaps(), list[bytes]()
    for path in audit_chain.list_files(folder):
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    _check_line(settings, check, gaps, before, f"{path.name} line {number}", line)
    for first, last in gaps.ranges:
        check.findings.append(
            f"number {first} is missing" if first == last else f"numbers {first} to {last} are missing"
        )
    check.findings += _check_head(check, head)
    return check


def _check_line(
    settings: Settings, check: AuditCheck, gaps: _Gaps, before: list[bytes], place: str, line: bytes
) -> None:
    found = audit_chain.split_line(line)
    if found is None:
        _count_unchained(check, before, place, line)
        return
    body, number, chain = found
    check.lines += 1
    place = f"{place} (number {number})"
    if number <= check.last:
        how = "stands out of order" if gaps.remove(number) else "is repeated or was changed"
        check.findings.append(f"{place} {how}")
        return
    if number == check.last + 1:
        if audit_chain.compute_chain(settings, check.chain, body) != chain:
            check.findings.append(f"{place} was changed")
        elif number == 1 and json.loads(body + b"}").get("before") != audit_chain.compute_before(before):
            check.findings.append(f"{place}: the {check.before} lines before the chain were changed")
    else:
        gaps.add(check.last + 1, number - 1)
    if b',"head":"lost","seq":' in body:
        check.findings.append(f"{place}: the chain's head was lost before it, so lines may have been cut off there")
    check.last, check.chain = number, chain


def _count_unchained(check: AuditCheck, before: list[bytes], place: str, line: bytes) -> None:
    if not check.last:
        before.append(line)
        check.before += 1
        return
    try:
        json.loads(line)
    except ValueError:
        check.torn += 1
    else:
        check.findings.append(f"{place} has no chain: it was inserted or changed")


def _check_head(check: AuditCheck, head: ChainEnd | None) -> list[str]:
    if head is None:
        return ["the chain's head is missing or was changed: lines may have been cut off"] if check.last else []
    if head.seq > check.last:
        return [f"numbers {check.last + 1} to {head.seq} are missing at the end"]
    return []
