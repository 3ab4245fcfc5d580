"""The audit record: who asked about which patient, when, by which route, with what outcome.

One JSON line per access in ``<workspace>/audit/<month>.jsonl``, appended only, mode 600. Client and patient are keyed
hashes, so that the record names nobody, yet the clinic's own key finds every access to one patient again
(``pmlm audit PATIENT``). The lines are chained (``auth.audit_chain``). Refused requests are recorded like served ones;
where no patient was named, ``patient`` is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from pydantic import BaseModel, Field

from bentos.auth import audit_chain
from pmlm.errors import ForeignPatientError, RecordUnavailableError, ServingError, UnknownPatientError
from pmlm.settings import Settings
from pmlm.storage import read_lines


class AuditRecord(BaseModel):
    """One line. ``outcome`` is the HTTP status that was answered, or what a tool's result amounts to."""

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    client: int | None
    patient: int | None
    route: str
    outcome: int


@dataclass(slots=True)
class RequestAudit:
    """A running request: its route, its client once known, the patients it names.

    ``safety``: its answer is a safety message, sent whether or not it can be recorded. ``unrecorded``: it could not be.
    ``outcome``: what became of it, where the answer's own status does not say.
    """

    route: str
    client: str | None = None
    subjects: list[int] = field(default_factory=list)
    safety: bool = False
    unrecorded: bool = False
    outcome: int | None = None


_running: ContextVar[RequestAudit | None] = ContextVar("pmlm_audit", default=None)


def touch(subject: int) -> None:
    """Note that the running request names this patient, whether or not it may see them."""
    running = _running.get()
    if running is not None and subject not in running.subjects:
        running.subjects.append(subject)


def mark_safety_message() -> None:
    """Note that the running request's answer is a safety message."""
    if (running := _running.get()) is not None:
        running.safety = True


def note_outcome(status: int) -> None:
    """Note what became of the running request's work: a tool's refusal is answered with status 200."""
    if (running := _running.get()) is not None:
        running.outcome = status


def mark_unrecorded() -> None:
    """Note that the running request's answer was not recorded."""
    if (running := _running.get()) is not None:
        running.unrecorded = True


def _call(work: Callable[[], None]) -> None:
    work()


@contextmanager
def collect(request: RequestAudit) -> Iterator[RequestAudit]:
    """Collect the patients that the block names, in threads started by it too."""
    token = _running.set(request)
    try:
        yield request
    finally:
        _running.reset(token)


@contextmanager
def record_block(
    settings: Settings, route: str, client: str, do_write: Callable[[Callable[[], None]], None] = _call
) -> Iterator[None]:
    """Record the patients that the block names, without a request to the endpoint.

    ``do_write`` calls what writes, in its own way. A block whose answer is a safety message ends well even if it fails.
    """
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
            try:
                do_write(lambda: write(settings, request, outcome))
            except (OSError, ServingError) as error:
                if not request.safety:
                    raise RecordUnavailableError from error


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
    audit_chain.append(settings, folder(settings), f"{datetime.now(UTC):%Y%m}", lines)


def read(settings: Settings, subject: int | None = None, client: str | None = None) -> Iterator[AuditRecord]:
    """The recorded accesses, oldest first: of one patient, of one client, or all."""
    patient = None if subject is None else patient_hash(settings, subject)
    who = None if client is None else client_hash(settings, client)
    for path in audit_chain.list_files(folder(settings)):
        for access in read_lines(path, AuditRecord.model_validate_json):
            if patient in (None, access.patient) and who in (None, access.client):
                yield access
