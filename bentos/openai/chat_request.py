"""Read a chat completion request, and write the one for the language model.

Read are the patient (header ``X-PMLM-Patient``, else ``metadata.patient``, else ``user``), the question (the last
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
#: Fields that name a person in OpenAI's API; none is forwarded.
IDENTIFYING = ("user", "metadata", "safety_identifier", "prompt_cache_key")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MOST_CHOICES = 8
MOST_MESSAGES = 2000
EARLIER = 4
ANONYMOUS = "this-patient"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request: ``body`` is what may be forwarded, ``earlier`` the user's previous messages, newest first."""

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


def read_chat_request(raw: bytes, header: str | None) -> ChatRequest:
    """Read a request; :class:`GatewayError` (400) that names the field that cannot be understood."""
    body = _parse_body(raw)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or len(messages) > MOST_MESSAGES:
        raise _invalid(f"must be a list of 1 to {MOST_MESSAGES} messages", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise _invalid("must be an object with a known role", f"messages[{index}]")
    _check_fields(body)
    param, reference = _find_patient(body, header)
    users = [i for i, message in enumerate(messages) if message["role"] == "user"]
    if not users:
        raise _invalid("must hold a message of role user: the question", "messages")
    question = _check_question(
        reference, param, _text(messages[users[-1]], users[-1]), f"messages[{users[-1]}].content"
    )
    return ChatRequest(
        body={name: value for name, value in body.items() if name not in IDENTIFYING},
        reference=reference,
        question=question,
        earlier=tuple(_text(messages[i], i) for i in users[-2 : -2 - EARLIER : -1]),
        stream=bool(body.get("stream")),
        structured=_wants_structure(body),
    )


def build_body(chat: ChatRequest, prompt: str, model: str, *, stream: bool) -> dict[str, Any]:
    """The language model's request: PMLM's prompt as a system message, then the application's messages."""
    body = {**chat.body, "model": model, "messages": [{"role": "system", "content": prompt}, *chat.messages]}
    if stream:
        body["stream"] = True
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return body


def encode_anonymous(body: dict[str, Any], reference: str) -> bytes:
    """The body as JSON without the patient's reference, which an application's messages may hold."""
    return _reference_pattern(reference).sub(ANONYMOUS, json.dumps(body, ensure_ascii=False)).encode()


def _parse_body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair, NaN: no JSON text
    except (ValueError, RecursionError):
        raise GatewayError(HTTPStatus.BAD_REQUEST, "the body must be JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise GatewayError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return body


def _check_fields(body: dict[str, Any]) -> None:
    """Fields that decide how PMLM answers must be what they say they are."""
    choices = body.get("n")
    if choices is not None and (type(choices) is not int or not 1 <= choices <= MOST_CHOICES):
        raise _invalid(f"must be a number from 1 to {MOST_CHOICES}", "n")
    if body.get("stream") not in (None, True, False):
        raise _invalid("must be true or false", "stream")
    if not isinstance(body.get("model", ""), str):
        raise _invalid("must be a text", "model")
    if body.get("modalities") not in (None, ["text"]):
        raise _invalid("must be text: no other answer can be checked before it is shown", "modalities")


def _find_patient(body: dict[str, Any], header: str | None) -> tuple[str, str]:
    """Where the patient is named, and by what."""
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise _invalid("must be an object", "metadata")
    named = (metadata or {}).get("patient")
    if header and named is not None and header != named:
        raise _invalid("names another patient than the header does", "metadata.patient")
    if header:
        return PATIENT_HEADER, header
    if named is not None:
        return "metadata.patient", named
    if body.get("user") is None:
        raise _invalid("must name the patient (or the header X-PMLM-Patient, or metadata.patient)", "user")
    return "user", body["user"]


def _check_question(reference: Any, param: str, question: str, place: str) -> str:
    """The question, by the native API's own rules for both fields."""
    try:
        return PersonalizeRequest(patient=reference, question=question).question
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise _invalid(first["msg"], param if first["loc"][0] == "patient" else place) from None


def _text(message: dict[str, Any], index: int) -> str:
    """The words of a message: its text, or its text parts."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _invalid("must be text or a list of parts", f"messages[{index}].content")
    return "\n".join(str(part["text"]) for part in content if part.get("type") == "text" and "text" in part)


def _wants_structure(body: dict[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type", "text") != "text"


def _reference_pattern(reference: str) -> re.Pattern[str]:
    """Every form of the reference; the bare id only if it is no ordinary word."""
    bare = json.dumps(reference.rsplit("/", 1)[-1].removeprefix("urn:uuid:").removeprefix("subject:"))[1:-1]
    escaped = re.escape(bare)
    prefixed = rf"(?:[\w:/.-]*Patient/|urn:uuid:|subject:){escaped}"
    distinct = len(bare) >= 4 and any(c.isdigit() for c in bare)
    forms = rf"{prefixed}|{escaped}" if distinct else prefixed
    return re.compile(rf"(?<![A-Za-z0-9])(?:{forms})(?![A-Za-z0-9])")


def _invalid(message: str, param: str) -> GatewayError:
    return GatewayError(HTTPStatus.BAD_REQUEST, f"{param}: {message}", param=param)
