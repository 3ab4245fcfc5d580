"""A chat completion request: what PMLM must understand of it, and what it leaves as it came.

Understood are the patient (header ``X-PMLM-Patient``, else ``metadata.patient``, else ``user``), the question (the last
message of role ``user``), and how the answer is to come. Every other field, known to us or not, and every message go
to the language model unchanged and in order; what names a person is taken out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from bentos.openai.errors import GatewayError
from pmlm.api_types import PersonalizeRequest

PATIENT_HEADER = "x-pmlm-patient"
#: Fields by which OpenAI's API is told who a person is; none is forwarded.
IDENTIFYING = ("user", "metadata", "safety_identifier", "prompt_cache_key")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MOST_CHOICES = 8
MOST_MESSAGES = 2000
EARLIER = 4
ANONYMOUS = "this-patient"


@dataclass(frozen=True, slots=True)
class Chat:
    """One request. ``body`` is what may be forwarded, ``earlier`` her messages before the question, newest first."""

    body: dict[str, Any]
    reference: str
    question: str
    earlier: tuple[str, ...]
    stream: bool
    structured: bool

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return int(self.body.get("n") or 1)

    @property
    def reserve(self) -> int | None:
        """Tokens that the answer may take, if the application says so."""
        given = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return given if isinstance(given, int) and given > 0 else None


def read(raw: bytes, header: str | None) -> Chat:
    """The request in ``raw``; :class:`GatewayError` (400) that names the field where it cannot be understood."""
    body = _parsed(raw)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or len(messages) > MOST_MESSAGES:
        raise _bad(f"must be a list of 1 to {MOST_MESSAGES} messages", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise _bad("must be an object with a known role", f"messages[{index}]")
    _check(body)
    param, reference = _patient(body, header)
    asked = [i for i, message in enumerate(messages) if message["role"] == "user"]
    if not asked:
        raise _bad("must hold a message of role user: her question", "messages")
    question = _checked(reference, param, _text(messages[asked[-1]], asked[-1]), f"messages[{asked[-1]}].content")
    return Chat(
        body={name: value for name, value in body.items() if name not in IDENTIFYING},
        reference=reference,
        question=question,
        earlier=tuple(_text(messages[i], i) for i in asked[-2 : -2 - EARLIER : -1]),
        stream=bool(body.get("stream")),
        structured=_structured(body),
    )


def forwarded(chat: Chat, prompt: str, model: str, *, stream: bool) -> dict[str, Any]:
    """What a language model is sent: PMLM's prompt as a system message of its own, then the application's messages."""
    body = {**chat.body, "model": model, "messages": [{"role": "system", "content": prompt}, *chat.messages]}
    if stream:
        body["stream"] = True
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return body


def encoded(body: dict[str, Any], reference: str) -> bytes:
    """The body as JSON in which the patient's reference stands nowhere, an application's own messages included."""
    return _naming(reference).sub(ANONYMOUS, json.dumps(body, ensure_ascii=False)).encode()


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair, NaN: no JSON text
    except (ValueError, RecursionError):
        raise GatewayError(HTTPStatus.BAD_REQUEST, "the body must be JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise GatewayError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return body


def _check(body: dict[str, Any]) -> None:
    """Fields that decide how PMLM answers must be what they say they are."""
    choices = body.get("n")
    if choices is not None and (type(choices) is not int or not 1 <= choices <= MOST_CHOICES):
        raise _bad(f"must be a number from 1 to {MOST_CHOICES}", "n")
    if body.get("stream") not in (None, True, False):
        raise _bad("must be true or false", "stream")
    if not isinstance(body.get("model", ""), str):
        raise _bad("must be a text", "model")
    if body.get("modalities") not in (None, ["text"]):
        raise _bad("must be text: no other answer can be checked before it is shown", "modalities")


def _patient(body: dict[str, Any], header: str | None) -> tuple[str, str]:
    """Where the patient is named, and by what."""
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise _bad("must be an object", "metadata")
    named = (metadata or {}).get("patient")
    if header and named is not None and header != named:
        raise _bad("names another patient than the header does", "metadata.patient")
    if header:
        return PATIENT_HEADER, header
    if named is not None:
        return "metadata.patient", named
    if body.get("user") is None:
        raise _bad("must name the patient (or the header X-PMLM-Patient, or metadata.patient)", "user")
    return "user", body["user"]


def _checked(reference: Any, param: str, question: str, place: str) -> str:
    """The question as the method takes it; the native API's own rules for both fields hold here too."""
    try:
        return PersonalizeRequest(patient=reference, question=question).question
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise _bad(first["msg"], param if first["loc"][0] == "patient" else place) from None


def _text(message: dict[str, Any], index: int) -> str:
    """The words of a message: its text, or its text parts."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _bad("must be text or a list of parts", f"messages[{index}].content")
    return "\n".join(str(part["text"]) for part in content if part.get("type") == "text" and "text" in part)


def _structured(body: dict[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type", "text") != "text"


def _naming(reference: str) -> re.Pattern[str]:
    """Every form of the reference; the bare id only where it cannot be an ordinary word or number."""
    bare = json.dumps(reference.rsplit("/", 1)[-1].removeprefix("urn:uuid:").removeprefix("subject:"))[1:-1]
    told = re.escape(bare)
    prefixed = rf"(?:[\w:/.-]*Patient/|urn:uuid:|subject:){told}"
    distinct = len(bare) >= 4 and any(c.isdigit() for c in bare)
    forms = rf"{prefixed}|{told}" if distinct else prefixed
    return re.compile(rf"(?<![A-Za-z0-9])(?:{forms})(?![A-Za-z0-9])")


def _bad(message: str, param: str) -> GatewayError:
    return GatewayError(HTTPStatus.BAD_REQUEST, f"{param}: {message}", param=param)
