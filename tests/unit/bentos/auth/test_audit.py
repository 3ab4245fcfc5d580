"""The record of accesses: appended, private, hashed, and found again by the key's owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bentos.auth import audit
from bentos.auth.audit import RequestAudit
from bentos.auth.principal import Principal
from pmlm.errors import ForeignPatientError
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import clinic


def test_lines_name_nobody_and_are_found_by_patient_and_client(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    ann, bea = settings.subject_id("ann"), settings.subject_id("bea")
    audit.write(settings, RequestAudit("/answer", "portal@example.org", [ann]), 200)
    audit.write(settings, RequestAudit("/answer", "other", [ann, bea]), 403)
    audit.write(settings, RequestAudit("/answer"), 401)
    (path,) = audit.folder(settings).iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for name in ("portal", "other", str(ann), str(bea)):
        assert name not in path.read_text()
    assert [a.outcome for a in audit.read(settings, ann)] == [200, 403]
    assert [a.outcome for a in audit.read(settings, bea)] == [403]
    assert [a.outcome for a in audit.read(settings, ann, "portal@example.org")] == [200]
    assert [a.outcome for a in audit.read(settings)] == [200, 403, 403, 401]


def test_another_key_finds_nothing(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    audit.write(settings, RequestAudit("/answer", "app", [settings.subject_id("ann")]), 200)
    stranger = Settings(home=settings.home, drops=settings.drops, key_dir=tmp_path / "others")
    assert list(audit.read(stranger, stranger.subject_id("ann"))) == []


def test_what_is_asked_without_the_endpoint_is_recorded_too(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    with audit.record_block(settings, "pmlm ask", "pmlm"):
        audit.touch(5)
    bound = Principal("pmlm", frozenset(), frozenset({6}))
    with audit.record_block(settings, "pmlm ask", "pmlm"), pytest.raises(ForeignPatientError):
        bound.subject(settings, "subject:7")
    with pytest.raises(ForeignPatientError), audit.record_block(settings, "pmlm ask", "pmlm"):
        bound.subject(settings, "subject:7")
    assert [a.outcome for a in audit.read(settings)] == [200, 200, 403]
    audit.touch(7)  # outside of any request: nothing to note it in, and no error
