"""Scopes, and the one place where a reference becomes a patient."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.auth import audit
from bentos.auth.audit import RequestAudit
from bentos.auth.principal import Principal
from bentos.auth.routes import READ
from bentos.auth.scopes import ScopeNeed, find_levels, only_patient_level
from pmlm.errors import ForeignPatientError, UnknownPatientError
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import clinic


@pytest.mark.parametrize(
    ("scope", "opens"),
    [
        ("system/Patient.rs", True),
        ("system/Patient.r", True),
        ("system/*.rs", True),
        ("user/Patient.cruds", True),
        ("patient/Patient.rs", True),
        ("system/Patient.read", True),
        ("system/Patient.*", True),
        ("system/*.*", True),
        ("system/Patient.s", False),
        ("system/Patient.cud", False),
        ("system/Patient.write", False),
        ("system/Patient.sr", False),  # the letters stand in the order of cruds
        ("system/Patient.", False),
        ("system/Observation.rs", False),
        ("system/Patient.rs?_id=1", False),
        ("system/patient.rs", False),
        ("launch/patient", False),
        ("openid", False),
        ("xsystem/Patient.rs", False),
        ("system/Patient.rs ", False),
        ("", False),
    ],
)
def test_what_a_scope_opens(scope: str, opens: bool) -> None:
    assert bool(find_levels({scope}, READ)) is opens


def test_scopes_add_up_within_a_level_alone() -> None:
    need = ScopeNeed("Patient", "rs")
    assert find_levels({"system/Patient.r", "system/*.s"}, need) == {"system"}
    assert find_levels({"system/Patient.r", "system/Observation.s"}, need) == set()
    assert find_levels({"patient/Patient.r", "system/Patient.s"}, need) == set()
    assert only_patient_level({"patient/Patient.rs", "openid"})
    assert not only_patient_level({"patient/Patient.rs", "system/Patient.rs"})
    assert not only_patient_level({"openid"})


SCOPES = st.sets(
    st.one_of(
        st.builds(
            "{}/{}.{}".format,
            st.sampled_from(["patient", "user", "system"]),
            st.sampled_from(["Patient", "Practitioner", "Observation", "*"]),
            st.sampled_from(["read", "write", "*", "r", "s", "rs", "cruds", "cud"]),
        ),
        st.sampled_from(["openid", "profile", "fhirUser", "launch", "launch/patient", "offline_access"]),
    ),
    max_size=5,
)


def opens_patient(scope: str) -> bool:
    """By the specification, written out once more: does this one scope allow to read Patient?"""
    _, slash, rest = scope.partition("/")
    resource, _, interactions = rest.partition(".")
    return bool(slash) and resource in ("Patient", "*") and interactions in ("read", "*", "r", "rs", "cruds")


@given(scopes=SCOPES, claim=st.none() | st.frozensets(st.integers(1, 3), max_size=2))
@pytest.mark.attack("access", "a patient scope beside a clinician's for another resource", "opens no other patient")
def test_a_token_opens_what_a_scope_of_its_own_covers(scopes: set[str], claim: frozenset[int] | None) -> None:
    principal = Principal("app", frozenset(scopes), claim)
    covering = {scope.partition("/")[0] for scope in scopes if opens_patient(scope)}
    assert principal.may(READ) is bool(covering if claim is not None else covering - {"patient"})
    for patient in (1, 2, 3, 4):
        assert principal.allows(patient) is (claim is None or patient in claim)
    assert principal.may_speak_as_clinician(READ) is (claim is None and bool(covering - {"patient"}))


@pytest.mark.parametrize(
    ("scopes", "claim", "reads", "clinician"),
    [
        ("patient/Patient.rs user/Practitioner.rs", None, False, False),
        ("patient/Patient.rs system/*.cud", None, False, False),
        ("patient/Patient.rs user/Practitioner.rs", {7}, True, False),
        ("user/Patient.rs", {7}, True, False),
        ("user/Patient.rs", None, True, True),
        ("user/Practitioner.rs openid launch", None, False, False),
        ("patient/*.read user/Patient.read", None, True, True),
    ],
)
@pytest.mark.attack("access", "a patient's token speaks as a clinician", "refused: its edits would teach everyone")
def test_who_reads_and_who_speaks_as_a_clinician(
    scopes: str, claim: set[int] | None, reads: bool, clinician: bool
) -> None:
    principal = Principal("app", frozenset(scopes.split()), None if claim is None else frozenset(claim))
    assert (principal.may(READ), principal.may_speak_as_clinician(READ)) == (reads, clinician)


@pytest.fixture
def anywhere(tmp_path: Path) -> Settings:
    return clinic(tmp_path)


def test_a_bound_client_sees_its_patients_and_nobody_else_in_the_same_words(anywhere: Settings) -> None:
    ann = anywhere.subject_id("ann")
    bound = Principal("app", frozenset(), frozenset({ann}))
    assert bound.subject(anywhere, "Patient/ann") == bound.subject(anywhere, f"subject:{ann}") == ann
    words = set()
    for reference in ("Patient/bea", "nobody", "subject:1", "subject:99999999999999999999", "x" * 500, "\ud800", ""):
        with pytest.raises(ForeignPatientError) as refused:
            bound.subject(anywhere, reference)
        words.add(str(refused.value))
    assert len(words) == 1


def test_a_client_of_the_clinic_is_told_that_a_reference_names_nobody(anywhere: Settings) -> None:
    whole = Principal("app", frozenset(), None)
    for reference in ("x" * 500, "\ud800"):
        with pytest.raises(UnknownPatientError):
            whole.subject(anywhere, reference)


def test_every_patient_named_is_noted_whether_or_not_she_may_be_seen(anywhere: Settings) -> None:
    bound = Principal("app", frozenset(), frozenset({anywhere.subject_id("ann")}))
    with audit.collect(RequestAudit("/answer")) as entry:
        bound.subject(anywhere, "ann")
        bound.subject(anywhere, "ann")
        with pytest.raises(ForeignPatientError):
            bound.subject(anywhere, "bea")
    assert entry.subjects == [anywhere.subject_id("ann"), anywhere.subject_id("bea")]


@given(reference=st.text(max_size=300))
def test_no_reference_whatever_leads_a_bound_client_to_another_patient(reference: str) -> None:
    settings = Settings(home=Path("state"), drops=Path("somewhere"), key_dir=Path("/nonexistent"))
    settings.__dict__["hash_key"] = b"k" * 32  # no key file for a property of every reference
    bound = Principal("app", frozenset(), frozenset({7}))
    with suppress(ForeignPatientError):
        assert bound.subject(settings, reference) == 7
