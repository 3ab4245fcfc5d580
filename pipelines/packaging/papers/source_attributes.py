"""The 31 decision support source attributes of a release (ONC's HTI-1 rule)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("source_attributes.yaml")
REGULATION = "45 CFR 170.315(b)(11)(iv)(B)"


def build_attributes(known: Mapping[str, str]) -> dict[str, Any]:
    """Build the attributes, numbered in the rule's order; ``known`` fills in what differs by release."""
    numbered, groups = 0, []
    for group in yaml.safe_load(FILE.read_text()):
        attributes = []
        for name, statement in group["attributes"]:
            numbered += 1
            attributes.append({"number": numbered, "name": name, "statement": statement.format(**known)})
        groups.append({"group": group["group"], "attributes": attributes})
    return {"regulation": REGULATION, "release": known["release"], "groups": groups}
