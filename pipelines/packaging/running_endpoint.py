"""A running endpoint: its address, processes and release, and how to ask it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx
from pydantic import BaseModel

from pmlm.api_types import PersonalizeRequest
from pmlm.client import Client
from pmlm.errors import EndpointError, ServingError, UnknownPatientError


class EndpointProcess(BaseModel):
    """A process by id and the kernel's start tick, which distinguishes a reused id."""

    pid: int
    tick: int


class RunningEndpoint(BaseModel):
    """A running endpoint: address, the release it serves, the bento it began with, processes, the supervisor first."""

    host: str
    port: int
    release: str
    bento: str
    family: list[EndpointProcess]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ready(self) -> bool:
        """Whether it is loaded and answers."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def read_release(self) -> str | None:
        """The release that it serves now; None where it does not answer."""
        try:
            found = httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False)
            return str(found.raise_for_status().json()["release"])
        except httpx.HTTPError:
            return None

    def answer(self, request: PersonalizeRequest, token: str, seconds: float) -> dict[str, Any]:
        """The answer of ``POST /answer`` to one question, waited for at most ``seconds``.

        :class:`UnknownPatientError` for an unknown patient, :class:`ServingError` for every other problem.
        """
        try:
            with Client(self.url, token, seconds) as client:
                answer = client.answer(request.patient, request.question, request.language)
        except EndpointError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise UnknownPatientError(error.detail) from None
            raise
        return answer.model_dump(mode="json")

    def ask_page(self, route: str, request: PersonalizeRequest, token: str, seconds: float) -> dict[str, Any]:
        """What the page is answered by one of its own routes; :class:`ServingError` without an answer."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = httpx.post(
                f"{self.url}/page/api/{route}",
                json=request.model_dump(),
                headers=headers,
                timeout=seconds,
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ServingError(f"/page/api/{route}: {type(error).__name__}") from None
        found: dict[str, Any] = answer.json()
        return found
