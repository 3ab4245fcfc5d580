"""The page of what is read and refused names every resource type and every rule."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.records.validate.fields import FIELDS

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")


def test_every_type_that_is_read_is_in_the_table() -> None:
    rows = " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| "))
    assert not [kind for kind in FIELDS if kind not in rows.replace(",", " ").split()]


def test_every_rule_is_in_the_table() -> None:
    stored = json.loads((ROOT / "tests/unit/persisted/snapshot.json").read_text())
    assert not [rule for rule in stored["literal quarantine_rules"] if f"`{rule}`" not in PAGE]
