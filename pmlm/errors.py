"""The one error hierarchy of PMLM: raised where known, caught where handled."""

from __future__ import annotations


class PmlmError(Exception):
    """Anything PMLM can explain to its user; the command line prints it without a traceback."""


class SettingsError(PmlmError):
    """A setting is missing or contradicts another."""


class RecordsError(PmlmError):
    """A drop cannot be read at all (a single bad line never raises: it is quarantined)."""


class UnknownPatientError(PmlmError):
    """The patient reference is not known to this clinic."""


class AccessError(PmlmError):
    """A client may not have what it asks for."""


class ForeignPatientError(AccessError):
    """The token is bound to other patients; said in the same words whether or not this one exists."""


class TokenError(AccessError):
    """A token is missing, broken, expired or meant for someone else; the words are fit for the client."""


class KeysUnavailableError(AccessError):
    """The keys that tokens are checked with cannot be had at the moment."""


class UnknownAnswerError(PmlmError):
    """No answer by this id is kept, or no longer."""


class UnknownNightError(PmlmError):
    """No saved night has that date."""


class TrainingError(PmlmError):
    """Training cannot go on (NaN loss, no episodes in a split)."""


class ServingError(PmlmError):
    """The endpoint cannot be started or does not answer."""


class FeaturesUnavailableError(ServingError):
    """The online store cannot be read at the moment."""


class EndpointError(ServingError):
    """The endpoint refused a request. ``status`` is HTTP's (0: no answer), ``retry_after`` in seconds where given."""

    def __init__(self, status: int, detail: str, field: str | None = None, retry_after: str | None = None) -> None:
        super().__init__(f"{status} {detail}" if status else detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.retry_after = float(retry_after) if retry_after and retry_after.isdecimal() else None


class NightError(PmlmError):
    """A night did not run to its end; what was done before the failing stage stands, and a rerun goes on from there."""


class RestoreError(PmlmError):
    """A restored night does not have the content hashes that were recorded for it."""


class FeaturesError(PmlmError):
    """A feature group's expression, view and files do not fit each other, or the online store does not answer."""


class TriageError(PmlmError):
    """Messages to triage, or the judged messages, cannot be read."""
