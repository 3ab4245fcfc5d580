"""The one door of the endpoint: every HTTP request passes here, whichever app answers it.

In this order: is there such a route, may anyone use it, who shows which token, has the client asked too often, do its
scopes open the route. The principal is put at ``scope["state"]["principal"]``; which patients it may see is decided
where a reference is resolved (``Principal.subject``). What touches a patient, and what is refused, is recorded
(``access.audit``) before the answer starts.
"""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import anyio
import anyio.to_thread

from bentos.auth import audit, routes
from bentos.auth.audit import Entry
from bentos.auth.cds_tokens import CdsVerifier
from bentos.auth.principal import Principal
from bentos.auth.rates import Rates
from bentos.auth.routes import Door, Rule
from bentos.auth.shared_counts import SharedCounts
from bentos.auth.tokens import Verifier
from bentos.auth.used_tokens import UsedTokens
from bentos.personalizer import current
from bentos.problems.problem_details import App, Message, Receive, Scope, Send, refused, send_problem
from pmlm.api_types import Problem
from pmlm.errors import KeysUnavailableError, TokenError
from pmlm.settings import Settings, load_settings

REALM = 'Bearer realm="pmlm"'
CDS = frozenset({"/cds-services/{id}"})  # the rules whose tokens may be a CDS client's
CHECKS = 4  # tokens checked at once: a slow identity provider must not take every thread


class Refusal(Exception):
    """A request that goes no further: the problem to answer, with headers."""

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.problem: Problem = refused(status, detail)
        self.headers = headers


class Access:
    """ASGI middleware: ``app`` for those who may."""

    def __init__(self, app: App, settings: Settings | None = None) -> None:
        self._app = app
        self._settings = settings or load_settings()
        self._verifier = Verifier(self._settings)
        self._cds = CdsVerifier(self._settings)
        shared = SharedCounts.of(self._settings)
        self._rates = Rates(self._settings, shared)
        self._used = UsedTokens(shared)
        self._checks: anyio.CapacityLimiter | None = None
        self._personalizer: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._pinning(send))
        elif scope["type"] == "http":
            with current.bound(self._personalizer):
                await self._http(scope, receive, send)
        else:  # no part of the endpoint speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})

    def _pinning(self, send: Send) -> Send:
        """Once the service has started, hold on to its personalizer: another service may start in this process."""

        async def pinned(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._personalizer = current.latest()
            await send(message)

        return pinned

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = routes.find(scope["method"], scope["path"])
        entry = Entry(rule.name)
        scope.setdefault("state", {})["rule"] = rule
        with audit.noting(entry):
            try:
                await self._enter(rule, entry, scope)
            except Refusal as refusal:
                if refusal.problem.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                    audit.write(self._settings, entry, refusal.problem.status)
                await send_problem(scope, send, refusal.problem, refusal.headers)
                return
            await self._app(scope, receive, self._recording(entry, send))

    def _recording(self, entry: Entry, send: Send) -> Send:
        """Record the access when its answer starts, so that nothing is told that was not recorded."""

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and (entry.subjects or message["status"] in (401, 403)):
                audit.write(self._settings, entry, message["status"])
            await send(message)

        return recorded

    async def _enter(self, rule: Rule, entry: Entry, scope: Scope) -> None:
        """Put the principal into the scope, or raise the :class:`Refusal`."""
        address = (scope.get("client") or ("",))[0]
        headers = {name.lower(): value for name, value in scope["headers"]}
        if rule.door is not Door.TOKEN and rule.methods and scope["method"] not in rule.methods:
            raise Refusal(
                HTTPStatus.METHOD_NOT_ALLOWED, "this is for reading only", allow=", ".join(sorted(rule.methods))
            )
        if rule.door is Door.OPEN:
            return
        if rule.door is Door.LOOPBACK:
            if not _from_here(address, headers):
                raise Refusal(HTTPStatus.FORBIDDEN, "only this machine may read this")
            return
        principal = await self._principal(headers, address, scope["path"] if rule.name in CDS else None)
        entry.client = principal.client
        scope["state"]["principal"] = principal
        if (wait := await self._rates.ask(principal.client)) is not None:
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", **{"retry-after": str(wait)})
        if rule is routes.UNKNOWN:
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no such route")
        if rule.need and not principal.may(rule.need):
            challenge = f'{REALM}, error="insufficient_scope", scope="{rule.need}"'
            raise Refusal(
                HTTPStatus.FORBIDDEN, f"the token lacks the scope {rule.need}", **{"www-authenticate": challenge}
            )

    async def _principal(self, headers: dict[bytes, bytes], address: str, service: str | None) -> Principal:
        """Who shows the request's bearer token; ``service`` is the path of the CDS service that is called, if any."""
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if token and (known := self._verifier.remembered(token)):
            return known
        if (wait := await self._rates.shut_out(address)) is not None:
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many refused requests", **{"retry-after": str(wait)})
        try:
            if not token:
                raise TokenError("a bearer token is needed")
            self._checks = self._checks or anyio.CapacityLimiter(CHECKS)
            if service is not None and (issuer := self._cds.is_from(token)) is not None:
                shown = await anyio.to_thread.run_sync(self._cds.verify, token, issuer, service, limiter=self._checks)
                if not await self._used.first_use(issuer, shown.id, shown.until):
                    raise TokenError("the token was used before: its jti counts once")
                return shown.principal
            return await anyio.to_thread.run_sync(self._verifier.verify, token, limiter=self._checks)
        except KeysUnavailableError as error:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), **{"retry-after": "10"}) from None
        except TokenError as error:
            await self._rates.refuse(address)
            challenge = f'{REALM}, error="invalid_token", error_description="{error}"' if token else REALM
            raise Refusal(HTTPStatus.UNAUTHORIZED, str(error), **{"www-authenticate": challenge}) from None


def _from_here(address: str, headers: dict[bytes, bytes]) -> bool:
    """Whether a request comes from this machine itself, and not through a proxy that runs on it."""
    if b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
