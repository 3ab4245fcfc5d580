"""The errors that PMLM can explain to its user, all below ``PmlmError``."""

from __future__ import annotations

import os


class PmlmError(Exception):
    """An error that PMLM can explain; the command line prints it without a traceback and exits with ``exit_code``."""

    exit_code = 1


class SettingsError(PmlmError):
    """A setting is missing or contradicts another."""


class RecordsError(PmlmError):
    """A drop cannot be read at all; a single bad line is quarantined instead."""


class WorkspaceBusyError(PmlmError):
    """Another process writes the clinic's workspace, and does not end in time."""

    exit_code = os.EX_TEMPFAIL


class FetchError(PmlmError):
    """New records cannot be fetched from where they come from."""


class UnknownPatientError(PmlmError):
    """The patient reference is not known to this clinic."""


class AccessError(PmlmError):
    """A client is not allowed to have what it asks for."""


class ForeignPatientError(AccessError):
    """The token is bound to other patients; the message never reveals whether this one exists."""


class TokenError(AccessError):
    """A token is missing, invalid, expired or misdirected; the message is fit for the client."""


class KeysUnavailableError(AccessError):
    """The keys to verify tokens with are not available at the moment."""


class UnknownAnswerError(PmlmError):
    """No stored answer has this id, or its explanation has expired."""


class UnknownFactError(PmlmError):
    """No such fact is believed of the patient."""


class UnknownNightError(PmlmError):
    """No saved night has that date."""


class TrainingError(PmlmError):
    """Training cannot continue (NaN loss, no episodes in a split)."""


class ChangePlanError(PmlmError):
    """The change plan cannot be obeyed, so nothing is promoted."""


class ServingError(PmlmError):
    """The endpoint cannot be started or does not answer."""


class FeaturesUnavailableError(ServingError):
    """The online store cannot be read at the moment."""


class RecordUnavailableError(ServingError):
    """What would have to be recorded cannot be at the moment, so it is not done."""

    def __init__(self) -> None:
        super().__init__("the request cannot be recorded at the moment")


class EndpointError(ServingError):
    """The endpoint refused a request. ``status`` is HTTP's (0: no answer), ``retry_after`` is in seconds."""

    def __init__(self, status: int, detail: str, field: str | None = None, retry_after: str | None = None) -> None:
        super().__init__(f"{status} {detail}" if status else detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.retry_after = float(retry_after) if retry_after and retry_after.isdecimal() else None


class NightError(PmlmError):
    """A night did not finish; a rerun continues from the failed stage."""


class NightRunningError(NightError):
    """Another process runs the clinic's night; nothing was done, and a later try may find it ended."""

    exit_code = os.EX_TEMPFAIL


class RestoreError(PmlmError):
    """A restored night does not have its recorded content hashes."""


class FeaturesError(PmlmError):
    """A feature group's definition and files do not match, or the online store is down."""


class TriageError(PmlmError):
    """The messages to triage, or the labelled messages, cannot be read."""


class ErasureError(PmlmError):
    """A patient cannot be erased now, or something of an erased patient is still there."""
