"""The record of every access: who asked about which patient, when, by which route, and with what outcome.

One JSON line an access in ``<workspace>/audit/<month>.jsonl``, appended only, mode 600. Client and patient are keyed
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


class Access(BaseModel):
    """One line. ``outcome`` is the HTTP status that was answered."""

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    client: int | None
    patient: int | None
    route: str
    outcome: int


@dataclass(slots=True)
class Entry:
    """What is known of a running request: its route, its client once it has shown a token, the patients it touched."""

    route: str
    client: str | None = None
    subjects: list[int] = field(default_factory=list)


_running: ContextVar[Entry | None] = ContextVar("pmlm_audit", default=None)


def touch(subject: int) -> None:
    """Note that the running request names this patient, whether or not it may see her."""
    entry = _running.get()
    if entry is not None and subject not in entry.subjects:
        entry.subjects.append(subject)


@contextmanager
def noting(entry: Entry) -> Iterator[Entry]:
    """Collect what :func:`touch` is told during the block, threads started by it included."""
    token = _running.set(entry)
    try:
        yield entry
    finally:
        _running.reset(token)


@contextmanager
def recorded(settings: Settings, route: str, client: str) -> Iterator[None]:
    """Record the patients that the block touches, asked for without the endpoint."""
    outcome = int(HTTPStatus.OK)
    with noting(Entry(route, client)) as entry:
        try:
            yield
        except ForeignPatientError:
            outcome = HTTPStatus.FORBIDDEN
            raise
        except UnknownPatientError:
            outcome = HTTPStatus.NOT_FOUND
            raise
        finally:
            write(settings, entry, outcome)


def folder(settings: Settings) -> Path:
    """Where the record lies."""
    return settings.workspace / "audit"


def client_hash(settings: Settings, client: str) -> int:
    """How a client is named in the record."""
    return settings.pseudonym("client", client)


def patient_hash(settings: Settings, subject: int) -> int:
    """How a patient is named in the record."""
    return settings.pseudonym("audit", str(subject))


def write(settings: Settings, entry: Entry, outcome: int) -> None:
    """Append one line for each patient the request named, or one line without a patient."""
    named: list[int | None] = [*entry.subjects] or [None]
    lines = [
        Access(
            client=client_hash(settings, entry.client) if entry.client else None,
            patient=None if subject is None else patient_hash(settings, subject),
            route=entry.route,
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


def read(settings: Settings, subject: int | None = None, client: str | None = None) -> Iterator[Access]:
    """The recorded accesses, oldest first: of one patient, of one client, or all."""
    patient = None if subject is None else patient_hash(settings, subject)
    who = None if client is None else client_hash(settings, client)
    for path in sorted(folder(settings).glob("*.jsonl")):
        for line in path.read_text().splitlines():
            access = Access.model_validate_json(line)
            if patient in (None, access.patient) and who in (None, access.client):
                yield access
