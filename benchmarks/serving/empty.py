"""An empty BentoML endpoint: what serving costs before anything is done."""

from __future__ import annotations

import bentoml
from pydantic import BaseModel


class Question(BaseModel):
    """As much of a request as ``/personalize`` takes."""

    patient: str
    question: str


@bentoml.service(name="empty", workers=1)
class Empty:
    """Answers at once."""

    @bentoml.api(route="/personalize")
    def personalize(self, request: Question, /) -> dict[str, str]:
        return {"prompt": "x" * 2000}
