"""The card with a draft beside the cards of critical values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bentos.auth.principal import LOCAL
from bentos.cds import draft_card
from bentos.cds.cds_types import HookRequest
from bentos.personalizer.personalizer import Personalizer
from pmlm.errors import FeaturesUnavailableError, RecordUnavailableError, ServingError

REQUEST = HookRequest.model_validate(HookRequest.model_config["json_schema_extra"]["example"])  # type: ignore[index]


@pytest.mark.attack("safety messages", "a draft cannot be made or recorded", "the other cards are shown")
@pytest.mark.parametrize("error", [RecordUnavailableError(), FeaturesUnavailableError("away")])
def test_a_draft_that_fails_keeps_no_other_card_back(monkeypatch: pytest.MonkeyPatch, error: ServingError) -> None:
    def fail(*_: Any) -> None:
        raise error

    settings = SimpleNamespace(cds_drafts=True, events=None, now=lambda: None, subject_id=lambda _: 1)
    personalizer = SimpleNamespace(settings=settings, release=SimpleNamespace(events=()), prepare=fail)
    monkeypatch.setattr(draft_card, "find_open_question", lambda *_: "Is it normal to feel this tired?")

    assert draft_card.build_draft_cards(cast("Personalizer", personalizer), LOCAL, REQUEST, "en") == []
