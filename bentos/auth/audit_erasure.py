"""Take an erased patient out of the audit record, so that the chain still holds.

A line keeps its number and its chain, hence every other line keeps its bytes. In place of the patient's number stands a
negative one of the same length, the line's *seal*:

    seal = BLAKE2b(clinic's key, chain of the line, line without its patient)

Only who has the key can make it, as with the chain itself; two lines of one patient have different seals. Lines from
before the chain are changed in the same way, and ``audit-before.json`` says what they are now, under the key.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path

from bentos.auth import audit, audit_chain
from pmlm.settings import Settings
from pmlm.storage import open_private, write_json

_PATIENT = re.compile(rb'"patient":(-?[0-9]{2,20})(?=[,}])')


def erase_patients(settings: Settings, subjects: Collection[int]) -> int:
    """Seal every line of the patients; return how many. A killed run is finished by the next one."""
    wanted = {str(audit.patient_hash(settings, subject)).encode() for subject in subjects}
    files, sealed = audit_chain.list_files(audit.folder(settings)), 0
    before: list[bytes] = []
    unchained, chained = 0, False
    for path in files:
        for at, line in _list_lines(path):
            found = audit_chain.split_line(line)
            chained |= found is not None
            patient = _PATIENT.search(line)
            if patient is not None and patient[1] in wanted:
                seal = compute_seal(settings, line, len(patient[1]))
                with open_private(path) as handle:
                    os.pwrite(handle, seal, at + patient.start(1))
                line = line[: patient.start(1)] + seal + line[patient.end(1) :]
                sealed += 1
            if not chained:
                before.append(line)
                unchained += b'"patient":-' in line
    if unchained:
        digest = audit_chain.compute_before(before)
        write_json(_before_path(settings), {"before": digest, "proof": _prove_before(settings, digest)})
    return sealed


def is_sealed(settings: Settings, line: bytes) -> bool:
    """Whether the line is one of an erased patient, and otherwise as it was written."""
    patient = _PATIENT.search(line)
    return patient is not None and patient[1] == compute_seal(settings, line, len(patient[1]))


def is_restated(settings: Settings, before: list[bytes]) -> bool:
    """Whether the lines before the chain are as the last erasure left them."""
    try:
        stated = json.loads(_before_path(settings).read_text())
        digest, proof = str(stated["before"]), str(stated["proof"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return digest == audit_chain.compute_before(before) and proof == _prove_before(settings, digest)


def compute_seal(settings: Settings, line: bytes, length: int) -> bytes:
    """The seal of a line: a negative number of so many characters."""
    found = audit_chain.split_line(line)
    body, chain = (found[0], found[2]) if found else (line.strip(), "before")
    digest = audit_chain.compute_chain(settings, f"erased {chain}", _PATIENT.sub(b'"patient":null', body, count=1))
    least = 10 ** (length - 2)
    return b"-%d" % (least + int(digest, 16) % (9 * least))


def _list_lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines of a file with their places; a line that is being appended meanwhile is another patient's."""
    found, at = [], 0
    with path.open("rb") as stream:
        for line in stream:
            if line.strip():
                found.append((at, line))
            at += len(line)
    return found


def _before_path(settings: Settings) -> Path:
    return settings.workspace / "audit-before.json"


def _prove_before(settings: Settings, digest: str) -> str:
    return audit_chain.compute_chain(settings, digest, b"lines before the chain, after an erasure")
