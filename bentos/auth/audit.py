"""The audit record: who asked about which patient, when, by which route, with what outcome.

One JSON line per access in ``<workspace>/audit/<month>.jsonl``, appended only, mode 600. Client and patient are keyed
hashes, so that the record names nobody, yet the clinic's own key finds every access to one patient again
(``pmlm audit PATIENT``). Refused requests are recorded like served ones; where no patient was named, ``patient`` is
null.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from pydantic import BaseModel, Field

from pmlm.errors import ForeignPatientError, UnknownPatientError
from pmlm.settings import Settings


class AuditRecord(BaseModel):
    """One line. ``outcome`` is the HTTP status that was answered."""

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    client: int | None
    patient: int | None
    route: str
    outcome: int


@dataclass(slots=True)
class RequestAudit:
    """A running request: its route, its client once known, the patients it names."""

    route: str
    client: str | None = None
    subjects: list[int] = field(default_factory=list)


_running: ContextVar[RequestAudit | None] = ContextVar("pmlm_audit", default=None)


def touch(subject: int) -> None:
    """Note that the running request names this patient, whether or not it may see them."""
    running = _running.get()
    if running is not None and subject not in running.subjects:
        running.subjects.append(subject)


@contextmanager
def collect(request: RequestAudit) -> Iterator[RequestAudit]:
    """Collect the patients that the block names, in threads started by it too."""
    token = _running.set(request)
    try:
        yield request
    finally:
        _running.reset(token)


@contextmanager
def record_block(settings: Settings, route: str, client: str) -> Iterator[None]:
    """Record the patients that the block names, without a request to the endpoint."""
    outcome = int(HTTPStatus.OK)
    with collect(RequestAudit(route, client)) as request:
        try:
            yield
        except ForeignPatientError:
            outcome = HTTPStatus.FORBIDDEN
            raise
        except UnknownPatientError:
            outcome = HTTPStatus.NOT_FOUND
            raise
        finally:
            write(settings, request, outcome)


def folder(settings: Settings) -> Path:
    """The folder of the record."""
    return settings.workspace / "audit"


def client_hash(settings: Settings, client: str) -> int:
    """How a client is named in the record."""
    return settings.pseudonym("client", client)


def patient_hash(settings: Settings, subject: int) -> int:
    """How a patient is named in the record."""
    return settings.pseudonym("audit", str(subject))


def write(settings: Settings, request: RequestAudit, outcome: int) -> None:
    """Append one line per patient that the request named, or one without a patient."""
    named: list[int | None] = [*request.subjects] or [None]
    lines = [
        AuditRecord(
            client=client_hash(settings, request.client) if request.client else None,
            patient=None if subject is None else patient_hash(settings, subject),
            route=request.route,
            outcome=outcome,
        ).model_dump_json()
        for subject in named
    ]
    folder(settings).mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder(settings) / f"{datetime.now(UTC):%Y%m}.jsonl"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, "".join(f"{line}\n" for line in lines).encode())  # one write: processes may share the file
    finally:
        os.close(handle)


def read(settings: Settings, subject: int | None = None, client: str | None = None) -> Iterator[AuditRecord]:
    """The recorded accesses, oldest first: of one patient, of one client, or all."""
    patient = None if subject is None else patient_hash(settings, subject)
    who = None if client is None else client_hash(settings, client)
    for path in sorted(folder(settings).glob("*.jsonl")):
        for line in path.read_text().splitlines():
            access = AuditRecord.model_validate_json(line)
            if patient in (None, access.patient) and who in (None, access.client):
                yield access
