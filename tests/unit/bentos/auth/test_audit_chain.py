"""The chain of the audit record: what a stranger does to its lines is found, whatever wrote them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bentos.auth import audit, audit_chain
from bentos.auth.audit import AuditRecord, RequestAudit
from bentos.auth.audit_check import AuditCheck, verify
from pipelines.night.saved_nights import read_audit_end
from pipelines.runs import summary_path
from pmlm.settings import Settings
from pmlm.storage import write_json
from tests.unit.bentos.auth.clinic_tokens import clinic


def write(settings: Settings, count: int) -> Path:
    for number in range(count):
        audit.write(settings, RequestAudit("/answer", "portal", [1000 + number]), 200)
    return audit_chain.list_files(audit.folder(settings))[-1]


def check(settings: Settings) -> AuditCheck:
    return verify(settings, audit.folder(settings))


def test_an_untouched_record_is_whole(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    assert check(settings).findings == []
    write(settings, 5)
    found = check(settings)
    assert (found.lines, found.last, found.findings) == (5, 5, [])
    assert len(list(audit.read(settings))) == 5


CHANGES = {
    "removed": (lambda lines: lines[:2] + lines[3:], ["number 3 is missing"]),
    "several removed": (lambda lines: lines[:1] + lines[4:], ["numbers 2 to 4 are missing"]),
    "the first removed": (lambda lines: lines[1:], ["number 1 is missing"]),
    "changed": (lambda lines: [*lines[:2], lines[2].replace("200", "403"), *lines[3:]], ["(number 3) was changed"]),
    "the last changed": (lambda lines: [*lines[:-1], lines[-1].replace("200", "403")], ["(number 6) was changed"]),
    "reordered": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], ["(number 2) stands out of order"]),
    "repeated": (lambda lines: [*lines[:3], lines[2], *lines[3:]], ["(number 3) is repeated"]),
    "cut off": (lambda lines: lines[:-2], ["numbers 5 to 6 are missing at the end"]),
    "all removed": (lambda lines: [], ["numbers 1 to 6 are missing at the end"]),
    "inserted": (
        lambda lines: [*lines[:2], AuditRecord(client=1, patient=1, route="/answer", outcome=200).model_dump_json(),
                       *lines[2:]],
        ["line 3 has no chain"],
    ),
    "without its chain": (
        lambda lines: [*lines[:2], lines[2].partition(',"seq"')[0] + "}", *lines[3:]],
        ["line 3 has no chain", "number 3 is missing"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.attack(
    "data at rest", "an audit line removed, changed, moved, inserted or cut off", "found, with its number"
)
def test_what_is_done_to_a_line_is_found(tmp_path: Path, change: str) -> None:
    settings = clinic(tmp_path)
    path = write(settings, 6)
    edit, expected = CHANGES[change]
    path.write_text("".join(f"{line}\n" for line in edit(path.read_text().splitlines())))
    findings = check(settings).findings
    assert len(findings) == len(expected)
    assert all(any(part in finding for finding in findings) for part in expected), findings


def test_the_first_bad_line_is_the_first_finding(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path = write(settings, 6)
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in [lines[0], *lines[2:4], lines[4].replace("200", "403"), lines[5]]))
    assert [finding.partition("number ")[2][0] for finding in check(settings).findings] == ["2", "5"]


def save_night(settings: Settings, night: str) -> None:
    """What a saved night records of the chain."""
    write_json(summary_path(settings, night, "save"), {"figures": {"audit": read_audit_end(settings)}})


@pytest.mark.attack(
    "data at rest", "audit lines and the chain's head put back together to an older state", "found up to the last night"
)
def test_a_whole_record_put_back_to_an_older_state_is_found_by_the_nights_record(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path, head = write(settings, 2), audit_chain.head_path(settings)
    older = path.read_bytes(), head.read_bytes()
    write(settings, 2)
    save_night(settings, "20260601")
    later = path.read_bytes(), head.read_bytes()
    write(settings, 1)
    assert (check(settings).findings, check(settings).saved) == ([], 4)
    path.write_bytes(older[0])
    head.write_bytes(older[1])
    assert check(settings).findings == ["numbers 3 to 4 are missing at the end"]
    path.write_bytes(later[0])
    head.write_bytes(later[1])
    assert check(settings).findings == []  # what came after the last night is not missed


def test_lines_written_again_after_a_cut_are_not_those_of_the_night(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    path, head = write(settings, 2), audit_chain.head_path(settings)
    older = path.read_bytes(), head.read_bytes()
    write(settings, 2)
    save_night(settings, "20260601")
    path.write_bytes(older[0])
    head.write_bytes(older[1])
    write(settings, 3)
    assert [f.partition("(")[2] for f in check(settings).findings] == [
        "number 4) is not the line that night 20260601 recorded"
    ]


@hypothesis_settings(deadline=None, max_examples=60)
@given(place=st.integers(0, 10_000), bits=st.integers(1, 31))
def test_no_byte_of_a_line_can_be_changed(tmp_path_factory: pytest.TempPathFactory, place: int, bits: int) -> None:
    settings = clinic(tmp_path_factory.mktemp("chain"))
    path = write(settings, 4)
    content = bytearray(path.read_bytes())
    places = [i for i, byte in enumerate(content) if byte != ord("\n")]
    content[places[place % len(places)]] ^= bits
    path.write_bytes(content)
    assert check(settings).findings


def test_a_stolen_line_of_another_clinic_does_not_fit(tmp_path: Path) -> None:
    settings, other = clinic(tmp_path / "a"), clinic(tmp_path / "b")
    path = write(settings, 3)
    stranger = Settings(home=other.home, drops=other.drops, key_dir=tmp_path / "b" / "keys")
    lines = [*path.read_text().splitlines()[:2], write(stranger, 3).read_text().splitlines()[2]]
    path.write_text("".join(f"{line}\n" for line in lines))
    assert any("number 3" in finding for finding in check(settings).findings)


@pytest.mark.attack("data at rest", "the file that says where the audit chain ends is removed or changed", "reported")
@pytest.mark.parametrize("damage", ["removed", "changed", "emptied"])
def test_a_lost_head_is_reported_before_and_after_the_next_line(tmp_path: Path, damage: str) -> None:
    settings = clinic(tmp_path)
    write(settings, 3)
    head = audit_chain.head_path(settings)
    if damage == "removed":
        head.unlink()
    else:
        head.write_text("" if damage == "emptied" else head.read_text().replace('"seq": 3', '"seq": 2'))
    assert any("head" in finding for finding in check(settings).findings)
    write(settings, 1)
    assert any("head was lost" in finding for finding in check(settings).findings)


def test_lines_of_older_versions_stand_before_the_chain_and_are_covered_by_it(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    old = [AuditRecord(client=1, patient=n, route="/answer", outcome=200).model_dump_json() for n in range(3)]
    audit.folder(settings).mkdir(parents=True)
    path = audit.folder(settings) / "202001.jsonl"
    path.write_text("".join(f"{line}\n" for line in old) + old[0][:30])  # the last one torn
    write(settings, 2)
    found = check(settings)
    assert (found.before, found.lines, found.findings) == (4, 2, [])
    assert len(list(audit.read(settings))) == 5
    path.write_text(path.read_text().replace('"patient":1', '"patient":7'))
    assert ["the 4 lines before the chain were changed" in f for f in check(settings).findings] == [True]


def test_a_writer_killed_between_line_and_head_breaks_nothing(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    write(settings, 2)
    head = audit_chain.head_path(settings).read_bytes()
    write(settings, 1)
    audit_chain.head_path(settings).write_bytes(head)  # as if killed before the third line's head
    assert check(settings).findings == []
    write(settings, 1)
    found = check(settings)
    assert (found.last, found.findings) == (4, [])


def test_a_clock_set_back_does_not_break_the_order(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    line = AuditRecord(client=1, patient=1, route="/answer", outcome=200).model_dump_json()
    for month in ("202602", "202601", "202603"):
        audit_chain.append(settings, audit.folder(settings), month, [line])
    assert [path.stem for path in audit_chain.list_files(audit.folder(settings))] == ["202602", "202603"]
    assert check(settings).findings == []


WRITER = """
import sys
from pathlib import Path
from bentos.auth import audit
from bentos.auth.audit import RequestAudit
from pmlm.settings import Settings
settings = Settings(home=Path(sys.argv[1]), drops=Path(sys.argv[2]), key_dir=Path(sys.argv[3]))
for number in range(100):
    audit.write(settings, RequestAudit("/answer", "portal", [number, number + 1]), 200)
"""


@pytest.mark.attack("data at rest", "four processes write the audit record at once", "one whole chain")
def test_processes_share_one_chain(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    assert settings.hash_key
    places = [str(settings.home), str(settings.drops), str(settings.key_dir)]
    started = [subprocess.Popen([sys.executable, "-c", WRITER, *places], env=dict(os.environ)) for _ in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    found = check(settings)
    assert (found.lines, found.last, found.findings) == (800, 800, [])
    numbers = [json.loads(line)["seq"] for line in write(settings, 1).read_text().splitlines()]
    assert numbers == list(range(1, 802))
