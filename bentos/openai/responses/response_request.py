"""Read a request of ``/v1/responses`` as a chat; refuse by name what cannot be done.

    instructions, input → messages;   max_output_tokens, reasoning.effort, text, tools, tool_choice → a chat's fields

Nothing is stored for the application, so whatever needs what OpenAI stores (``previous_response_id``,
``conversation``, ``background``, ``store: true``, ``prompt``) is refused, and so are tools that OpenAI runs itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentos.openai.chat.chat_request import IDENTIFYING, ChatRequest, build_request, check_fields, parse_body
from bentos.openai.chat.errors import GatewayError
from bentos.openai.responses.input_items import FIELD, read_input

STORED = "nothing is stored here for the application: send the whole conversation as input"
#: Field → why it can only be empty.
REFUSED: Mapping[str, str] = {
    "previous_response_id": STORED,
    "conversation": STORED,
    "store": STORED,
    "background": "an answer is given while its request is open",
    "prompt": "no templates of prompts are stored here: send instructions",
    "include": "nothing more can be included than an answer has",
    "top_logprobs": "no alternatives to what was checked are shown",
    "max_tool_calls": "no tool is run here: every call is the application's",
    "context_management": "nothing is compacted here",
    "moderation": "answers are checked by PMLM's own rules",
}
#: Fields that mean the same in a chat, or that model servers know besides; they pass unchanged.
PASSED = (
    "chat_template_kwargs", "frequency_penalty", "min_p", "model", "parallel_tool_calls", "presence_penalty",
    "repetition_penalty", "seed", "service_tier", "stop", "stream", "temperature", "top_k", "top_p",
)  # fmt: skip
#: Fields that are read here, or name a person and go nowhere.
READ = frozenset(
    {"input", "instructions", "max_output_tokens", "prompt_cache_retention", "reasoning", "stream_options", "text"}
    | {"tool_choice", "tools", "truncation", *IDENTIFYING}
)
#: What the fields of a chat are called here.
NAMES = {"messages": FIELD, "response_format": "text.format"}
#: What an answer repeats of its request, with OpenAI's defaults.
ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}


def read_response_request(raw: bytes, header: str | None, *, merge: bool = True) -> ChatRequest:
    """Read a request; :class:`GatewayError` (400) that names the field that cannot be understood or done."""
    body = parse_body(raw)
    for name, value in body.items():
        if name in REFUSED:
            if value:
                raise GatewayError.of_field(name, REFUSED[name])
        elif name not in READ and name not in PASSED:
            raise GatewayError(400, "there is no such parameter", param=name, code="unknown_parameter")
    check_fields(body)
    messages, places = read_input(body.get(FIELD))
    instructions = body.get("instructions")
    if instructions is not None:
        if not isinstance(instructions, str):
            raise GatewayError.of_field("instructions", "must be a text")
        messages, places = [{"role": "system", "content": instructions}, *messages], ["instructions", *places]
    chat = {name: body[name] for name in (*PASSED, *IDENTIFYING) if body.get(name) is not None}
    chat |= {"messages": messages, **_read_limit(body), **_read_options(body), **_read_tools(body)}
    echo = {name: default if body.get(name) is None else body[name] for name, default in ECHOED.items()}
    return build_request(chat, header, places, merge, NAMES, echo)


def _read_limit(body: dict[str, Any]) -> dict[str, Any]:
    limit = body.get("max_output_tokens")
    if limit is None:
        return {}
    if type(limit) is not int or limit < 1:
        raise GatewayError.of_field("max_output_tokens", "must be a whole number of tokens")
    return {"max_completion_tokens": limit}


def _read_options(body: dict[str, Any]) -> dict[str, Any]:
    """How the answer is to be: ``reasoning``, ``text`` and ``truncation``."""
    if body.get("truncation") not in (None, "disabled"):
        raise GatewayError.of_field("truncation", "must be disabled: no word of the application's is left out")
    reasoning = _read_object(body, "reasoning", ("effort",))
    text = _read_object(body, "text", ("format", "verbosity"))
    _read_object(body, "stream_options", ())
    options = {"reasoning_effort": reasoning.get("effort"), "verbosity": text.get("verbosity")}
    found = {name: value for name, value in options.items() if value is not None}
    wanted = text.get("format")
    if wanted is None:
        return found
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type"}
        return found | {"response_format": {"type": kind, kind: schema}}
    if kind not in ("text", "json_object"):
        raise GatewayError.of_field("text.format", "must be of type text, json_object or json_schema")
    return found if kind == "text" else found | {"response_format": {"type": kind}}


def _read_object(body: dict[str, Any], name: str, known: tuple[str, ...]) -> dict[str, Any]:
    """A field that is an object; of others than the ``known`` members only empty ones."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GatewayError.of_field(name, "must be an object")
    for member, given in value.items():
        if member not in known and given:
            raise GatewayError.of_field(f"{name}.{member}", "is not supported here")
    return value


def _read_tools(body: dict[str, Any]) -> dict[str, Any]:
    """The application's functions, in a chat's shape; :class:`GatewayError` for tools that OpenAI runs."""
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise GatewayError.of_field("tools", "must be a list")
    found: dict[str, Any] = {}
    functions = [_read_function(tool, f"tools[{index}]") for index, tool in enumerate(tools or [])]
    if functions:
        found["tools"] = functions
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function" and isinstance(choice.get("name"), str):
        found["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice in ("auto", "none", "required"):
        found["tool_choice"] = choice
    elif choice is not None:
        raise GatewayError.of_field("tool_choice", "must be auto, none, required or a function by its name")
    return found


def _read_function(tool: Any, place: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise GatewayError.of_field(place, "must be an object")
    if tool.get("type") != "function":
        raise GatewayError.of_field(f"{place}.type", "must be function: no tool is run here")
    if not isinstance(tool.get("name"), str):
        raise GatewayError.of_field(f"{place}.name", "must be a text")
    function = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": function}
