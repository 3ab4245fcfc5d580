"""Select the fields of a language model's message that may be shown.

    shown(message) = {role, content, tool_calls: [{id, type, function: {name, arguments}}]}

Everything else that a server may send (``refusal``, ``reasoning``, ``thinking``, ``annotations``, ``audio``, fields
unknown to us) is dropped: the check of an answer reads what is shown, and only what it reads is shown.
"""

from __future__ import annotations

import html
import re
from typing import Any

from bentos.openai.answer_fields.tool_calls import WORD, read_arguments, select_tool_calls

#: Reasons for an end that OpenAI's clients know; any other is a ``stop``.
FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})
#: Members of a completion that are passed on where they are one short word.
_WORDS = ("system_fingerprint", "service_tier")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def select_message(message: dict[str, Any]) -> dict[str, Any]:
    """The message as it may be shown once it is checked; :class:`UpstreamError` ``malformed`` for what is none."""
    shown = {"role": "assistant", "content": message.get("content")}
    calls = message.get("tool_calls")
    return shown | {"tool_calls": select_tool_calls(calls)} if calls else shown


def read_shown(message: dict[str, Any]) -> str:
    """Everything of a selected message that a reader may see, as one text to be checked."""
    texts = [message.get("content") or ""]
    for call in message.get("tool_calls") or ():
        function = call["function"]
        texts += [function["name"].replace("_", " "), *read_arguments(function["arguments"])]
    return decode_escapes("\n".join(text for text in texts if text))


def decode_escapes(text: str) -> str:
    """The text with JSON's and HTML's escapes of characters read: an application shows what they stand for."""
    return html.unescape(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text))


def select_finish(reason: Any) -> str:
    """Why an answer ended, in a word that clients know."""
    return reason if isinstance(reason, str) and reason in FINISH_REASONS else "stop"


def select_usage(usage: Any) -> dict[str, Any] | None:
    """The numbers of a usage; None where there is none."""
    if not isinstance(usage, dict):
        return None
    chosen = {name: _select_count(value) for name, value in usage.items() if WORD.fullmatch(str(name))}
    return {name: value for name, value in chosen.items() if value is not None}


def _select_count(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {name: count for name, count in value.items() if type(count) in (int, float) and WORD.fullmatch(name)}
        return inner or None
    return value if type(value) in (int, float) else None


def select_members(completion: dict[str, Any]) -> dict[str, Any]:
    """The members of a completion besides its choices that are passed on."""
    words = {name: completion.get(name) for name in _WORDS}
    passed: dict[str, Any] = {
        "created": completion["created"] if type(completion.get("created")) is int else None,
        "model": completion.get("model"),
        "usage": select_usage(completion.get("usage")),
        **{name: word for name, word in words.items() if isinstance(word, str) and WORD.fullmatch(word)},
    }
    return {name: value for name, value in passed.items() if value is not None}


def take_logprobs(pending: list[Any], text: str) -> tuple[list[dict[str, Any]], list[Any]]:
    """The probabilities of ``text``'s own tokens, and those that are left.

    A token is shown only where it is the next piece of the text; alternatives to it never are. Both lists are empty
    where tokens and text part.
    """
    taken: list[dict[str, Any]] = []
    position = 0
    for number, entry in enumerate(pending):
        if position >= len(text):
            return taken, pending[number:]
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
        if not isinstance(token, str) or type(value) not in (int, float) or not text.startswith(token, position):
            return [], []
        taken.append({"token": token, "logprob": value, "bytes": None, "top_logprobs": []})
        position += len(token)
    return (taken, []) if position == len(text) else ([], [])
