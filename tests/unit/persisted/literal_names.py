"""Collect names that are literals in the code, used only after faults."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bentos.llm.errors import UpstreamError
from bentos.openai.chat.chat_request import read_chat_request
from bentos.openai.chat.errors import GatewayError
from pipelines.records.read.raw_resource import ResourceError
from pmlm.settings import PROJECT

CODE = 3  # position of ``code`` among the arguments of an error in OpenAI's shape
PACKAGES = ("bentos", "dags", "feature_repo", "models", "pipelines", "pmlm")
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
_VARIABLE = re.compile(r"PMLM_[A-Z_]+")
_HEADER = re.compile(r"x-pmlm-[a-z-]+", re.IGNORECASE)


@cache
def _nodes(folder: str) -> list[ast.AST]:
    """Return the syntax nodes of all modules below a folder."""
    files = sorted((PROJECT / folder).rglob("*.py"))
    return [node for file in files for node in ast.walk(ast.parse(file.read_text()))]


def _calls(folder: str, of: type) -> Iterator[ast.Call]:
    """Yield every call of a class by its name."""
    for node in _nodes(folder):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] == of.__name__:
            yield node


def _text(node: ast.AST | None) -> str | None:
    """Return the value of a string literal, None of anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _argument(call: ast.Call, place: int, name: str) -> str | None:
    """Return an argument that is a string literal, whether given by place or by name."""
    given = (
        call.args[place] if len(call.args) > place else next((k.value for k in call.keywords if k.arg == name), None)
    )
    return _text(given)


def quarantine_rules(tmp: Path) -> list[str]:
    """Collect the rules that the records' code gives rows to quarantine by."""
    return [rule for call in _calls("pipelines/records", ResourceError) if (rule := _argument(call, 0, "rule"))]


def openai_codes(tmp: Path) -> list[str]:
    """Collect codes and parameters of errors in OpenAI's shape.

    The reason of a failing language model is a code too.
    """
    errors = list(_calls("bentos", GatewayError))
    codes = [_argument(call, CODE, "code") for call in errors]
    codes += [_argument(call, 0, "reason") for call in _calls("bentos", UpstreamError)]
    params = [_argument(call, CODE - 1, "param") for call in errors]
    params += [_refused(body, header) for body, header in _bad_requests()]
    return [*(f"code {code}" for code in codes if code), *(f"param {param}" for param in params if param)]


def _bad_requests() -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield bodies that are refused, each with the patient's header."""
    asks = {"role": "user", "content": "A question?"}
    good: dict[str, Any] = {"messages": [asks], "user": "subject:1"}
    for name, wrong in {
        "messages": 1, "n": 0, "stream": 2, "model": 1, "modalities": 1, "metadata": 1, "user": None,
    }.items():  # fmt: skip
        yield good | {name: wrong}, None
    yield good | {"messages": [{"role": "?"}]}, None
    yield good | {"messages": [{**asks, "content": 1}]}, None
    yield good | {"messages": [{**asks, "content": ""}]}, None
    yield good | {"user": "x" * 500}, None
    yield good | {"metadata": {"patient": "x" * 500}}, None
    yield good | {"metadata": {"patient": "subject:1"}}, "subject:2"
    yield good, "x" * 500


def _refused(body: dict[str, Any], header: str | None) -> str | None:
    try:
        read_chat_request(json.dumps(body).encode(), header)
    except GatewayError as error:
        return error.param
    return None


def headers(tmp: Path) -> list[str]:
    """Collect the HTTP headers of our own."""
    texts = [text for folder in ("bentos", "pmlm") for node in _nodes(folder) if (text := _text(node))]
    return [text.lower() for text in texts if _HEADER.fullmatch(text)]


def variables(tmp: Path) -> list[str]:
    """Collect the environment variables that the code names."""
    texts = [text for folder in PACKAGES for node in _nodes(folder) if (text := _text(node))]
    return [text for text in texts if _VARIABLE.fullmatch(text)]


def log_events(tmp: Path) -> list[str]:
    """Collect the events that the endpoint logs, with their fields."""
    found = []
    for node in _nodes("bentos"):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LEVELS:
            event = _argument(node, 0, "event")
            found += [f"{node.func.attr} {event} {k.arg}" for k in node.keywords if event and k.arg]
    return found


FAMILIES = (quarantine_rules, openai_codes, headers, variables, log_events)
