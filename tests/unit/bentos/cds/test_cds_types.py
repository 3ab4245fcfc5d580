"""The rules that cards are checked by catch what they should: a check that passes everything proves nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.cds_schema import DISCOVERY, RESPONSE, errors

CARD: dict[str, Any] = {
    "uuid": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
    "summary": "Example",
    "detail": "More",
    "indicator": "info",
    "source": {"label": "Example", "url": "https://example.com", "icon": "https://example.com/i.png"},
    "suggestions": [
        {
            "label": "Remove",
            "uuid": "e56e1945-20b3-4393-8503-a1a20fd73152",
            "actions": [{"type": "delete", "description": "Remove it", "resourceId": "MedicationRequest/1"}],
        }
    ],
    "selectionBehavior": "any",
    "overrideReasons": [{"code": "1", "system": "http://example.org", "display": "Refused"}],
    "links": [{"label": "App", "url": "https://smart.example.com/launch", "type": "smart", "appContext": "{}"}],
}


def test_the_specifications_own_shapes_pass() -> None:
    assert errors(RESPONSE, {"cards": [CARD, {k: CARD[k] for k in ("summary", "indicator", "source")}]}) == []
    assert errors(RESPONSE, {"cards": []}) == []
    service = {"hook": "patient-view", "description": "Greets", "id": "greeter", "prefetch": {"p": "Patient/1"}}
    assert errors(DISCOVERY, {"services": [service]}) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("summary", "x" * 140), ("summary", ""), ("summary", None), ("indicator", "hard-stop"), ("indicator", None),
        ("uuid", "card-1"), ("detail", None), ("detail", ""), ("source", {}), ("source.label", ""),
        ("source.url", "example.com"), ("links", []), ("links.0.type", "absolute"), ("overrideReasons.0.display", None),
        ("suggestions.0.actions.0.resourceId", None), ("suggestions.0.label", ""), ("selectionBehavior", None),
        ("note", "not of the specification"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_found(path: str, value: Any) -> None:
    card = copy.deepcopy(CARD)
    place: Any = card
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step)] if step.isdecimal() else place[step]
    place[last] = value
    assert errors(RESPONSE, {"cards": [card]})


@pytest.mark.parametrize("missing", ["summary", "indicator", "source", "selectionBehavior"])
def test_what_is_required_is_missed(missing: str) -> None:
    assert errors(RESPONSE, {"cards": [{k: v for k, v in CARD.items() if k != missing}]})
