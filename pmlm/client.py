"""A typed Python client of the endpoint, for applications.

from pmlm import Client

with Client("http://localhost:3000", token) as pmlm:
    answer = pmlm.answer("Patient/bdacca5d-1037-4191-b7f6-d16734861f52", "Is it normal to feel this tired?")
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from pmlm.api_types import (
    PROBLEM,
    AnswerResponse,
    Explanation,
    Health,
    Language,
    PersonalizeRequest,
    PersonalizeResponse,
    Timeline,
)
from pmlm.draft_types import DraftResponse
from pmlm.errors import EndpointError
from pmlm.feedback_types import DisputeReceipt, DisputeRequest, FeedbackReceipt, FeedbackRequest

T = TypeVar("T", bound=BaseModel)


class Client:
    """One request per method; :class:`EndpointError` with the problem's words if refused."""

    def __init__(self, url: str, token: str, timeout: float = 60.0) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def personalize(self, patient: str, question: str, language: Language | None = None) -> PersonalizeResponse:
        """The refined prompt for this patient's question, with the fate and sources of every sentence."""
        return self._ask("/personalize", patient, question, language, PersonalizeResponse)

    def answer(self, patient: str, question: str, language: Language | None = None) -> AnswerResponse:
        """The same with the language model's answer; where the model failed, ``llm.error`` says so."""
        return self._ask("/answer", patient, question, language, AnswerResponse)

    def draft(self, patient: str, question: str) -> DraftResponse:
        """A reply for a clinician, in sentences that the clinic has often written, each with its fact."""
        return self._ask("/draft", patient, question, None, DraftResponse)

    def explain(self, answer_id: str) -> Explanation:
        """How an answer came about, for as long as the clinic stores it."""
        return self._request("GET", f"/explain/{quote(answer_id, safe='')}", Explanation)

    def timeline(self, patient: str) -> Timeline:
        """The patient's signals over time, each value against their own past."""
        return self._request("GET", f"/patients/{quote(patient, safe='')}/timeline", Timeline)

    def feedback(self, answer_id: str, **fields: Any) -> FeedbackReceipt:
        """Give feedback on an answer, in the fields of ``POST /feedback``.

        ``rating`` (1 to 5), ``thumbs``, ``preferred_over`` (another answer's id), ``comment``, or a clinician's
        ``edit`` with its ``question``, or ``draft``, what became of a draft's sentences.

        :class:`pydantic.ValidationError` before anything is sent where they contradict each other.
        """
        request = FeedbackRequest(answer_id=answer_id, **fields)
        return self._request("POST", "/feedback", FeedbackReceipt, request.model_dump(exclude_none=True))

    def dispute(self, patient: str, fact: str, **fields: Any) -> DisputeReceipt:
        """Call a single fact wrong, in the fields of ``POST /disputes``: ``correct`` says what would be right."""
        request = DisputeRequest(patient=patient, fact=fact, **fields)
        return self._request("POST", "/disputes", DisputeReceipt, request.model_dump(exclude_none=True))

    def alive(self) -> bool:
        """Whether the endpoint answers at all; never raises."""
        try:
            return self._http.get("/livez").is_success
        except httpx.HTTPError:
            return False

    def ready(self) -> Health:
        """What is served, and whether features can be read."""
        return self._request("GET", "/readyz", Health)

    def _ask(self, route: str, patient: str, question: str, language: Language | None, shape: type[T]) -> T:
        request = PersonalizeRequest(patient=patient, question=question, language=language)
        return self._request("POST", route, shape, request.model_dump())

    def _request(self, method: str, route: str, shape: type[T], body: dict[str, Any] | None = None) -> T:
        try:
            response = self._http.request(method, route, json=body)
        except httpx.HTTPError as error:
            raise EndpointError(0, f"the endpoint does not answer ({type(error).__name__})") from error
        if response.is_success or (shape is AnswerResponse and "answer" in _members(response)):
            return shape.model_validate_json(response.content)  # failed language models leave an answer, and a problem
        problem = _members(response)
        detail, field = problem.get("detail", "the endpoint gives no reason"), problem.get("field")
        raise EndpointError(response.status_code, detail, field, response.headers.get("retry-after"))


def _members(response: httpx.Response) -> dict[str, Any]:
    """The members of a problem; none where another server answered in its own shape."""
    if not response.headers.get("content-type", "").startswith(PROBLEM):
        return {}
    members: dict[str, Any] = response.json()
    return members
