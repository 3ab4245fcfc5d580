"""The endpoint's log: one JSON object per line, libraries' lines included, no patient data.

Three rules ensure that. A library's message is written as its format string, without the values put into it. An
exception is written as its type and the lines of code it passed, without its message, unless it is one of ours
(``PmlmError``), whose words are fit to be read. And whatever is left is searched for what looks like an identifier.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from pmlm.errors import PmlmError

LOGGER = "pmlm"
LONGEST = 300
FRAMES = 12
#: Loggers whose handlers BentoML has set up.
FOREIGN = ("", "bentoml", "uvicorn", "uvicorn.error", "circus")
#: Names under which nobody should log a value; if someone does, it is redacted.
REDACTED_KEYS = frozenset(
    {"answer", "authorization", "body", "comment", "content", "edit", "messages", "name", "patient", "patient_id"}
    | {"prompt", "question", "reference", "ref", "subject", "subject_id", "text", "token", "url", "path"}
)
WITHHELD = "[withheld]"
_SLASH, _COLON = r"(?:/|%(?:25)*2[Ff])", r"(?::|%(?:25)*3[Aa])"  # escaped once or many times
_LOOKS_LIKE = re.compile(
    r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"  # a token
    r"|\bBearer\s+\S+"
    rf"|\b[A-Z][A-Za-z]{{3,40}}{_SLASH}[A-Za-z0-9.\-]{{1,64}}"  # a FHIR reference
    rf"|(?i:\b(?:patient|practitioner|relatedperson|encounter|observation|person){_SLASH}[a-z0-9.\-]{{1,64}})"
    rf"|(?i:\b(?:patient|subject)(?:=|%(?:25)*3D)[^\s&\"']{{1,200}})"
    rf"|(?i:\burn{_COLON}(?:uuid|oid){_COLON}\S+)"
    rf"|(?i:\bsubject{_COLON}\d+)"
    r"|\b[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\b"
    r"|\b[\w.+-]+@[\w-]+\.[\w.]+"
    r"|\b(?:19|20)\d{2}-\d{2}-\d{2}\b(?!T)"
    r"|\b\d{7,}\b"
)
#: Values of ours that are no identifiers though they may look like one.
UNMASKED_KEYS = frozenset({"timestamp", "level", "logger", "trace_id", "route", "method", "exception"})


def logger() -> Any:
    """The endpoint's own logger: ``logger().info("what happened", key=value)``."""
    return structlog.stdlib.get_logger(LOGGER)


def configure() -> None:
    """Write everything that is logged in this process from now on as redacted JSON."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[Processor] = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, stamp]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, drop_values],
        pass_foreign_args=True,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            drop_exception_message,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=lambda value: type(value).__name__),
        ],
    )
    for name in FOREIGN:
        for handler in logging.getLogger(name).handlers:
            if type(handler) is logging.StreamHandler:
                handler.setFormatter(formatter)
    ours = logging.getLogger(LOGGER)
    if not ours.handlers:
        ours.addHandler(_StandardErrorHandler())
    ours.handlers[0].setFormatter(formatter)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.getLogger("mcp").setLevel(logging.WARNING)


class _StandardErrorHandler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is when a line is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
        sys.stderr.flush()


def drop_values(_: Any, __: str, event: EventDict) -> EventDict:
    """A library's format string in place of its message, unless all its values are numbers."""
    arguments = event.pop("positional_args", None)
    values = arguments if isinstance(arguments, tuple) else (arguments,)
    if arguments and not all(isinstance(value, (int, float)) for value in values):
        event["event"] = str(event["_record"].msg)
    return event


def drop_exception_message(_: Any, __: str, event: EventDict) -> EventDict:
    """An exception as its type and frames; its message only where it is ours."""
    found = event.pop("exc_info", None)
    event.pop("exc_text", None)
    event.pop("stack_info", None)
    error = found[1] if isinstance(found, tuple) else found if isinstance(found, BaseException) else None
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
        event["exception"] = {"type": type(error).__name__, "at": places}
        if isinstance(error, PmlmError):
            event["error"] = str(error)
    return event


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Redact what should not have been logged, and mask what looks like an identifier."""
    for key, value in event.items():
        if key in REDACTED_KEYS:
            event[key] = WITHHELD
        elif key not in UNMASKED_KEYS:
            event[key] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        masked = _LOOKS_LIKE.sub("[masked]", value)
        return masked if len(masked) <= LONGEST else f"{masked[:LONGEST]}…"
    if isinstance(value, dict):
        return {_clean(k): WITHHELD if k in REDACTED_KEYS else _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    return value if isinstance(value, (bool, int, float)) or value is None else type(value).__name__
