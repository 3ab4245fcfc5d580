"""Check that no persisted or public name has changed without its snapshot."""

from __future__ import annotations

import pytest

from tests.unit.persisted.snapshot import collect, differences, stored


@pytest.fixture(scope="module")
def now() -> dict[str, list[str]]:
    return collect()


def test_no_name_on_disk_or_in_public_has_appeared_or_vanished(now: dict[str, list[str]]) -> None:
    changed = list(differences(stored(), now))
    hint = "if this is meant: python -m tests.unit.persisted.snapshot --write"
    assert not changed, "\n".join([*changed, hint])


def test_every_family_has_names(now: dict[str, list[str]]) -> None:
    assert not [family for family, names in now.items() if not names]


def test_a_renamed_key_is_named_as_vanished_and_appeared() -> None:
    before, after = {"file ledger": ["night", "content"]}, {"file ledger": ["night", "digest"]}
    assert list(differences(before, after)) == ["vanished from file ledger: content", "appeared in file ledger: digest"]
