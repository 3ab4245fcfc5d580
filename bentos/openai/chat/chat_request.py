"""Read a chat completion request, and write the one for the language model.

Read are the patient (header ``X-PMLM-Patient``, else ``metadata.patient``, else ``user``), the question (the messages
of role ``user`` since the last answer), and how the answer is to come. Every other field, known to us or not, and
every message go to the language model unchanged and in order; what names a person is taken out. The application's
own system messages are put behind PMLM's prompt into one, because chat templates of current models refuse a second
or a later one; where the clinic says so (``PMLM_LLM_SYSTEM_MESSAGE=separate``) they stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from bentos.openai.chat.anonymous_body import anonymize
from bentos.openai.chat.errors import GatewayError
from bentos.openai.chat.patient_words import find_turn, join_question, read_parts

PATIENT_HEADER = "x-pmlm-patient"
#: Fields that name a person in OpenAI's API; none is forwarded.
IDENTIFYING = ("user", "metadata", "safety_identifier", "prompt_cache_key")
SYSTEM_ROLES = frozenset({"system", "developer"})
ROLES = SYSTEM_ROLES | {"user", "assistant", "tool", "function"}
MOST_CHOICES = 8
MOST_MESSAGES = 2000
DEEPEST = 100  # brackets within brackets
EARLIER = 4


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request: ``body`` is what may be forwarded, ``system`` what is to stand behind PMLM's prompt.

    ``parts`` are all texts of the user's messages since the last answer, ``question`` the newest of them as one text,
    ``earlier`` the user's messages before the last answer, newest first. ``names`` are what the application calls
    fields of a chat, where it does so otherwise; ``echo`` is what its answer repeats of the request.
    """

    body: dict[str, Any]
    system: str
    reference: str
    question: str
    parts: tuple[str, ...]
    earlier: tuple[str, ...]
    stream: bool
    structured: bool
    names: Mapping[str, str]
    echo: Mapping[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found

    @property
    def own_messages(self) -> list[dict[str, Any]]:
        """All that the application has written: what must fit beside the prompt."""
        return [{"role": "system", "content": self.system}, *self.messages] if self.system else self.messages

    def field_name(self, name: str) -> str:
        """What the application calls a field of a chat."""
        return self.names.get(name, name)

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return int(self.body.get("n") or 1)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with the tokens used."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and bool(options.get("include_usage"))

    @property
    def reserve(self) -> int | None:
        """Tokens that the answer may take, if the application says so."""
        given = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        return given if isinstance(given, int) and given > 0 else None


def read_chat_request(raw: bytes, header: str | None, *, merge: bool = True) -> ChatRequest:
    """Read a request; :class:`GatewayError` (400) that names the field that cannot be understood.

    ``merge``: the application's system messages become one text, :attr:`ChatRequest.system`.
    """
    body = parse_body(raw)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or len(messages) > MOST_MESSAGES:
        raise GatewayError.of_field("messages", f"must be a list of 1 to {MOST_MESSAGES} messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise GatewayError.of_field(f"messages[{index}]", "must be an object with a known role")
    check_fields(body)
    return build_request(body, header, [f"messages[{i}].content" for i in range(len(messages))], merge)


def build_request(
    body: dict[str, Any],
    header: str | None,
    places: Sequence[str],
    merge: bool,
    names: Mapping[str, str] = MappingProxyType({}),
    echo: Mapping[str, Any] = MappingProxyType({}),
) -> ChatRequest:
    """The request of a body whose messages have known roles; ``places`` are what errors call the content of each."""
    whole = names.get("messages", "messages")
    messages: list[dict[str, Any]] = body["messages"]
    param, reference = _find_patient(body, header)
    turn = find_turn(messages)
    if not turn:
        raise GatewayError.of_field(whole, "must hold a message of role user: the question")
    parts = {i: read_parts(message, places[i]) for i, message in enumerate(messages) if message["role"] == "user"}
    question = join_question(reference, param, whole, {places[i]: "\n".join(parts[i]) for i in turn})
    before = sorted((i for i in parts if i < turn[0]), reverse=True)
    forwarded = {name: value for name, value in body.items() if name not in IDENTIFYING}
    system = ""
    if merge:
        own = (i for i, message in enumerate(messages) if message["role"] in SYSTEM_ROLES)
        system = "\n\n".join(text for i in own if (text := "\n".join(read_parts(messages[i], places[i]))))
        forwarded["messages"] = [message for message in messages if message["role"] not in SYSTEM_ROLES]
    return ChatRequest(
        body=forwarded,
        system=system,
        reference=reference,
        question=question,
        parts=tuple(text for i in turn for text in parts[i]),
        earlier=tuple("\n".join(parts[i]) for i in before[:EARLIER]),
        stream=bool(body.get("stream")),
        structured=_wants_structure(body),
        names=names,
        echo=echo,
    )


def build_body(chat: ChatRequest, prompt: str, model: str, *, stream: bool, ask_usage: bool = True) -> dict[str, Any]:
    """The language model's request: PMLM's prompt as a system message, then the application's messages.

    A stream is asked for its usage, whether or not the application wants it: tokens are counted.
    """
    system = f"{prompt}\n\n{chat.system}" if chat.system else prompt
    body = {**chat.body, "model": model, "messages": [{"role": "system", "content": system}, *chat.messages]}
    options = body.pop("stream_options", None)
    body.pop("stream", None)
    if stream:
        body["stream"] = True
        if ask_usage:
            body["stream_options"] = (options if isinstance(options, dict) else {}) | {"include_usage": True}
    return body


def encode_anonymous(body: dict[str, Any], reference: str) -> bytes:
    """The body as JSON without the patient's reference, which an application's messages may hold."""
    return json.dumps(anonymize(body, reference), ensure_ascii=False).encode()


def parse_body(raw: bytes) -> dict[str, Any]:
    """A body that is a JSON object, and can be written as one."""
    try:
        body = json.loads(raw)
        _check_depth(body, DEEPEST)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair, NaN: no JSON text
    except (ValueError, RecursionError):
        raise GatewayError(HTTPStatus.BAD_REQUEST, "the body must be JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise GatewayError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return body


def _check_depth(value: Any, deepest: int) -> None:
    """``RecursionError`` where lists and objects are nested deeper."""
    if not deepest:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, (dict, list)):
            _check_depth(inner, deepest - 1)


def check_fields(body: dict[str, Any]) -> None:
    """Fields that decide how PMLM answers must be what they say they are."""
    choices = body.get("n")
    if choices is not None and (type(choices) is not int or not 1 <= choices <= MOST_CHOICES):
        raise GatewayError.of_field("n", f"must be a number from 1 to {MOST_CHOICES}")
    if body.get("stream") not in (None, True, False):
        raise GatewayError.of_field("stream", "must be true or false")
    if not isinstance(body.get("model", ""), str):
        raise GatewayError.of_field("model", "must be a text")
    if body.get("modalities") not in (None, ["text"]):
        raise GatewayError.of_field("modalities", "must be text: no other answer can be checked before it is shown")


def _find_patient(body: dict[str, Any], header: str | None) -> tuple[str, str]:
    """Where the patient is named, and by what."""
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise GatewayError.of_field("metadata", "must be an object")
    named = (metadata or {}).get("patient")
    if header and named is not None and header != named:
        raise GatewayError.of_field("metadata.patient", "names another patient than the header does")
    if header:
        return PATIENT_HEADER, header
    if named is not None:
        return "metadata.patient", named
    if body.get("user") is None:
        raise GatewayError.of_field("user", "must name the patient (or the header X-PMLM-Patient, or metadata.patient)")
    return "user", body["user"]


def _wants_structure(body: dict[str, Any]) -> bool:
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type", "text") != "text"
