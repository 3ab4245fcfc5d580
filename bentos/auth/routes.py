"""Every route of the endpoint: who may use it, its name in logs.

A path that no rule names does not exist, whatever else the server would answer there (BentoML's own pages, for one).
Names never hold what stands in a path, so a patient's reference in one reaches no log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from bentos.auth.scopes import ScopeNeed

#: Every answer about a patient is made from the patient's record, so reading it is what a route takes.
READ = ScopeNeed("Patient", "r")


class Door(Enum):
    """``OPEN``: anyone; ``LOOPBACK``: this machine; ``TOKEN``: a valid token with the rule's scopes."""

    OPEN = auto()
    LOOPBACK = auto()
    TOKEN = auto()


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One route: ``path`` matches the whole path, ``body`` is its limit in bytes."""

    name: str
    path: re.Pattern[str]
    door: Door
    need: ScopeNeed | None = None
    methods: frozenset[str] | None = None
    body: int = 64 * 1024

    def matches(self, method: str, path: str) -> bool:
        return (self.methods is None or method in self.methods) and self.path.fullmatch(path) is not None


def _open(name: str, path: str) -> RouteRule:
    return RouteRule(name, re.compile(path), Door.OPEN, methods=frozenset({"GET", "HEAD"}))


def _read(name: str, path: str, body: int = 64 * 1024) -> RouteRule:
    return RouteRule(name, re.compile(path), Door.TOKEN, READ, body=body)


#: The first rule that matches counts.
RULES: tuple[RouteRule, ...] = (
    _open("/livez", "/livez"),
    _open("/readyz", "/readyz"),
    _open("/healthz", "/healthz"),
    _open("/openapi.json", r"/openapi\.json"),
    _open("/cds-services", "/cds-services/?"),
    _open("/", "/"),
    _read("/page/api", "/page/api(/.*)?"),
    _open("/page", "/page(/.*)?"),
    _open("/ops", "/ops"),
    _open("/docs", "/docs(/files/[^/]+)?"),
    RouteRule("/ops/figures", re.compile("/ops/figures"), Door.TOKEN, READ, methods=frozenset({"GET"})),
    RouteRule("/metrics", re.compile("/metrics"), Door.LOOPBACK, methods=frozenset({"GET", "HEAD"})),
    _read("/personalize", "/personalize"),
    _read("/answer", "/answer"),
    _read("/draft", "/draft"),
    _read("/feedback", "/feedback"),
    _read("/disputes", "/disputes"),
    _read("/explain/{answer_id}", "/explain/[^/]*"),
    _read("/patients/{ref}/timeline", "/patients/.+/timeline"),
    RouteRule("/v1/models", re.compile("/v1/models(/.*)?"), Door.TOKEN),
    _read("/v1", "/v1/.+", body=4 * 1024 * 1024),
    _read("/cds-services/{id}", "/cds-services/.+", body=1024 * 1024),
    _read("/mcp", "/mcp(/.*)?", body=1024 * 1024),
)
UNKNOWN = RouteRule("unknown", re.compile(".*", re.DOTALL), Door.TOKEN)


def find_rule(method: str, path: str) -> RouteRule:
    """The first rule for a request; failing that, for its path; else ``UNKNOWN``."""
    named = [rule for rule in RULES if rule.path.fullmatch(path)]
    return next((rule for rule in named if rule.matches(method, path)), named[0] if named else UNKNOWN)
