"""A question with the prompt for it, on its way to an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bentos.auth.principal import Principal
from models.feature_row import read_text
from models.prompt.personalize import Personalized
from models.schema import FeatureRow
from models.templates import CHINESE
from pmlm.api_types import Language, PersonalizeResponse


def language_of(question: str, row: FeatureRow) -> Language:
    """The question's own language if it is Chinese, else the patient's, else English."""
    return "zh" if CHINESE.search(question) or read_text(row, "language") == "zh" else "en"


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A question with the prompt for it.

    ``subject`` and ``row`` are the patient and their features, ``personalized`` what the method decided, ``response``
    the same in the endpoint's types. ``until`` is the request's deadline (``time.monotonic()``); ``seconds`` are the
    parts of the latency by name, to be added to.
    """

    id: str
    principal: Principal
    subject: int
    row: FeatureRow
    question: str
    personalized: Personalized
    response: PersonalizeResponse
    until: float
    seconds: dict[str, float]

    @property
    def as_of(self) -> datetime:
        """The clinic's clock when the prompt was made."""
        return datetime.fromisoformat(self.response.versions.as_of)
