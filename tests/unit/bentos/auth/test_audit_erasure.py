"""An erased patient's lines in the audit record name nobody, and the chain still finds every change."""

from __future__ import annotations

import json
from pathlib import Path

from bentos.auth import audit, audit_chain, audit_erasure
from bentos.auth.audit import AuditRecord, RequestAudit
from bentos.auth.audit_check import AuditCheck, verify
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import clinic

ANA, EVA = 1000, 1001


def write(settings: Settings, *subjects: int) -> Path:
    for subject in subjects:
        audit.write(settings, RequestAudit("/answer", "portal", [subject]), 200)
    return audit_chain.list_files(audit.folder(settings))[-1]


def check(settings: Settings) -> AuditCheck:
    return verify(settings, audit.folder(settings))


def test_the_lines_name_nobody_and_the_chain_holds(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path = write(settings, ANA, EVA, ANA, EVA)
    before, head = path.read_bytes().splitlines(), audit_chain.head_path(settings).read_bytes()
    assert audit_erasure.erase_patients(settings, {ANA}) == 2
    after = path.read_bytes().splitlines()
    assert (after[1], after[3]) == (before[1], before[3])
    assert [len(line) for line in after] == [len(line) for line in before]
    assert audit_chain.head_path(settings).read_bytes() == head
    assert str(audit.patient_hash(settings, ANA)).encode() not in path.read_bytes()
    assert list(audit.read(settings, ANA)) == []
    assert len(list(audit.read(settings, EVA))) == 2
    found = check(settings)
    assert (found.lines, found.erased, found.findings) == (4, 2, [])


def test_two_lines_of_one_patient_cannot_be_linked(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path = write(settings, ANA, ANA)
    audit_erasure.erase_patients(settings, {ANA})
    first, second = (json.loads(line)["patient"] for line in path.read_text().splitlines())
    assert first != second
    assert max(first, second) < 0


def test_the_record_goes_on_behind_an_erasure(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    write(settings, ANA)
    audit_erasure.erase_patients(settings, {ANA})
    write(settings, EVA)
    assert audit_erasure.erase_patients(settings, {ANA}) == 0
    assert check(settings).findings == []


def test_a_change_to_an_erased_line_is_found(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path = write(settings, ANA, EVA, ANA)
    audit_erasure.erase_patients(settings, {ANA})
    whole = path.read_text()
    seal = str(json.loads(whole.splitlines()[0])["patient"])
    for changed in (whole.replace('"outcome":200', '"outcome":403', 1), whole.replace(seal, seal[:-1] + "0", 1)):
        if changed != whole:
            path.write_text(changed)
            assert check(settings).findings
    path.write_text("".join(whole.splitlines(keepends=True)[1:]))
    assert check(settings).findings == ["number 1 is missing"]


def test_another_patients_line_cannot_be_passed_off_as_erased(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path = write(settings, ANA, EVA)
    number = str(audit.patient_hash(settings, EVA))
    path.write_text(path.read_text().replace(number, f"-{number[1:]}"))
    assert any("was changed" in finding for finding in check(settings).findings)


def test_lines_from_before_the_chain_are_erased_too(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    folder = audit.folder(settings)
    folder.mkdir(parents=True)
    old = [
        AuditRecord(client=1, patient=audit.patient_hash(settings, subject), route="/answer", outcome=200)
        for subject in (ANA, EVA)
    ]
    path = folder / "202001.jsonl"
    path.write_text("".join(f"{one.model_dump_json()}\n" for one in old))
    write(settings, EVA)
    assert audit_erasure.erase_patients(settings, {ANA}) == 1
    assert check(settings).findings == []
    path.write_text(path.read_text().replace('"outcome":200', '"outcome":403'))
    assert check(settings).findings
