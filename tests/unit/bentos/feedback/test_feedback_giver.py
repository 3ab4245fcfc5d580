"""Whose opinion feedback is: the token says so, not what its client writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentos.auth.principal import Principal
from bentos.feedback.intake import giver_hash, require_clinician
from pmlm.errors import AccessError
from tests.unit.bentos.auth.clinic_tokens import clinic

READS = frozenset({"system/Patient.rs"})


@pytest.mark.attack("access", "a patient's token names another person with each rating", "it stays one giver")
def test_a_bound_token_is_one_giver_whatever_it_names(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    bound, whole = Principal("app", READS, frozenset({7})), Principal("app", READS, None)
    assert len({giver_hash(settings, bound, user) for user in (None, "a", "b")}) == 1
    assert len({giver_hash(settings, whole, user) for user in (None, "a", "b")}) == 3


@pytest.mark.parametrize(
    "principal",
    [
        Principal("app", READS, frozenset({7})),
        Principal("app", frozenset({"patient/Patient.rs", "user/Practitioner.rs"}), None),
        Principal("app", frozenset({"openid"}), None),
        Principal("app", frozenset(), None),
    ],
)
def test_who_may_not_speak_as_a_clinician(principal: Principal) -> None:
    with pytest.raises(AccessError):
        require_clinician(principal)


def test_who_may_speak_as_a_clinician() -> None:
    require_clinician(Principal("app", READS, None))
    require_clinician(Principal("app", frozenset({"user/*.read", "patient/Patient.rs"}), None))
