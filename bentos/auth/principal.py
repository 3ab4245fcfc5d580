"""Who asks: a client with its scopes, bound to a clinic or to patients.

A patient reference is resolved with the key of the clinic that this endpoint serves and nothing else, so no
reference of another clinic can lead to a record here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bentos.auth import audit
from bentos.auth.scopes import PATIENT, ScopeNeed, find_levels
from pmlm.errors import ForeignPatientError, UnknownPatientError
from pmlm.settings import Settings

UNKNOWN = "the clinic has no patient by this reference"
FOREIGN = "this token does not open a patient by this reference"
LONGEST_REFERENCE = 200


@dataclass(frozen=True, slots=True)
class Principal:
    """A client with a valid token; ``patients`` are its subjects, None: the whole clinic."""

    client: str
    scopes: frozenset[str]
    patients: frozenset[int] | None

    def may(self, need: ScopeNeed) -> bool:
        """Whether the token's scopes allow what a route amounts to.

        A scope of the level ``patient`` opens the record of the patients that the token names, so without any it opens
        nothing.
        """
        return bool(find_levels(self.scopes, need) - ({PATIENT} if self.patients is None else set()))

    def may_speak_as_clinician(self, need: ScopeNeed) -> bool:
        """Whether its scopes allow ``need`` for the whole clinic, and no claim binds it to patients."""
        return self.patients is None and self.may(need)

    def allows(self, subject: int) -> bool:
        """Whether the token opens this patient's record."""
        return self.patients is None or subject in self.patients

    def subject(self, settings: Settings, reference: str) -> int:
        """Resolve a patient reference to a subject, and note it for the audit record.

        Raises :class:`ForeignPatientError` for anyone outside the token's set, in the same words whether or not they
        exist, and :class:`UnknownPatientError` for a reference that can name nobody.
        """
        try:
            subject = subject_of(settings, reference)
        except UnknownPatientError:
            if self.patients is None:
                raise
            raise ForeignPatientError(FOREIGN) from None
        audit.touch(subject)
        if not self.allows(subject):
            raise ForeignPatientError(FOREIGN)
        return subject


#: The user of ``pmlm`` on the machine with the clinic's key: the owner of the files, who needs no token.
LOCAL = Principal("pmlm", frozenset({"system/Patient.rs"}), None)


def subject_of(settings: Settings, reference: str) -> int:
    """The subject id of ``subject:<number>`` or a FHIR reference, existing or not."""
    if len(reference) > LONGEST_REFERENCE:
        raise UnknownPatientError(UNKNOWN)
    try:
        return settings.subject_id(reference)
    except UnicodeEncodeError:  # half a surrogate pair: no text, hence nobody's id
        raise UnknownPatientError(UNKNOWN) from None
