"""Authenticate and authorize every HTTP request, whichever app answers it.

In this order: is there such a route, may anyone use it, whose token is it, has the client asked too often, do its
scopes open the route. The principal is put at ``scope["state"]["principal"]``; which patients it may see is decided
where a reference is resolved (``Principal.subject``). What touches a patient, and what is refused, is recorded
(``auth.audit``) before the answer starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address

import anyio
import anyio.to_thread

from bentos.auth import audit, routes
from bentos.auth.audit import RequestAudit
from bentos.auth.cds_tokens import CdsVerifier
from bentos.auth.client_address import find_client_address, parse_networks
from bentos.auth.counting.rates import RateLimits
from bentos.auth.counting.shared_counts import SharedCounts
from bentos.auth.counting.used_tokens import UsedTokens
from bentos.auth.principal import Principal
from bentos.auth.routes import Door, RouteRule
from bentos.auth.tokens import TokenVerifier
from bentos.personalizer import current
from bentos.personalizer.recorder import mark_unrecorded
from bentos.problems import error_handlers
from bentos.problems.problem_details import App, Message, Receive, Scope, Send, make_problem, send_problem
from bentos.recording.store_writer import StoreWriter, await_writes
from pmlm.api_types import Problem
from pmlm.errors import KeysUnavailableError, RecordUnavailableError, TokenError
from pmlm.settings import Settings, load_settings

REALM = 'Bearer realm="pmlm"'
CDS = frozenset({"/cds-services/{id}"})  # the rules whose tokens may be a CDS client's
DEGRADED = b"x-pmlm-degraded"
CHECKS = 4  # tokens checked at once: a slow identity provider must not take every thread


class RefusedError(Exception):
    """A request that goes no further: the problem to answer, with headers."""

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.problem: Problem = make_problem(status, detail)
        self.headers = headers


class AccessMiddleware:
    """ASGI middleware: ``app`` for requests with the right token."""

    def __init__(self, app: App, settings: Settings | None = None) -> None:
        self._app = app
        self._settings = settings or load_settings()
        self._verifier = TokenVerifier(self._settings)
        self._cds = CdsVerifier(self._settings)
        shared = SharedCounts.of(self._settings)
        self._rates = RateLimits(self._settings, shared)
        self._used = UsedTokens(shared, self._settings)
        self._proxies = parse_networks(self._settings.trusted_proxies)
        self._writer = StoreWriter("audit")
        self._checks: anyio.CapacityLimiter | None = None
        self._served: current.Served | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._note_served(send))
        elif scope["type"] == "http":
            with current.bind(self._served.personalizer if self._served else None):  # to its end with one release
                await self._answer(scope, receive, send)
        else:  # no part of the endpoint speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})

    def _note_served(self, send: Send) -> Send:
        """Note what the service itself serves when it has started: another may start in this process."""

        async def noting_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._served = current.newest_served()
            await send(message)

        return noting_send

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = routes.find_rule(scope["method"], scope["path"])
        request = RequestAudit(rule.name)
        scope.setdefault("state", {})["rule"] = rule
        with audit.collect(request):
            try:
                await self._authorize(rule, request, scope)
            except RefusedError as refusal:
                if not _is_recorded(request, refusal) or await self._record(request, refusal.problem.status):
                    await send_problem(scope, send, refusal.problem, refusal.headers)
                else:
                    await _refuse_unrecorded(scope, send)
                return
            await self._app(scope, receive, self._record_access(scope, request, send))

    def _record_access(self, scope: Scope, request: RequestAudit, send: Send) -> Send:
        """Record the access when its answer starts, so that no answer but a safety message goes unrecorded."""
        refused = False

        async def recording_send(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and _is_access(request, message["status"]):
                status = request.outcome or message["status"]
                refused = not await self._record(request, status) and not request.safety
                if refused:
                    await _refuse_unrecorded(scope, send)
                    if _is_stream(message["headers"]):
                        raise TimeoutError  # ends the work on an answer that nobody will read
            if refused:
                return
            if message["type"] == "http.response.start" and request.unrecorded:
                message["headers"] = _mark_unrecorded(message["headers"])
            await send(message)

        return recording_send

    async def _record(self, request: RequestAudit, status: int) -> bool:
        """Whether the access has been recorded in time."""
        write = self._writer.submit(partial(audit.write, self._settings, request, status), persist=request.safety)
        await await_writes([write])
        failed = write.failed()
        request.unrecorded = failed or request.unrecorded
        return not failed

    async def _authorize(self, rule: RouteRule, request: RequestAudit, scope: Scope) -> None:
        """Put the principal into the scope, or raise the :class:`RefusedError`."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        peer = (scope.get("client") or ("",))[0]
        hops = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
        address = find_client_address(peer, hops, self._proxies)
        if rule.door is not Door.TOKEN and rule.methods and scope["method"] not in rule.methods:
            raise RefusedError(
                HTTPStatus.METHOD_NOT_ALLOWED, "this is for reading only", allow=", ".join(sorted(rule.methods))
            )
        if rule.door is Door.OPEN:
            return
        if rule.door is Door.LOOPBACK:
            if not _is_local(peer, headers):
                raise RefusedError(HTTPStatus.FORBIDDEN, "only this machine may read this")
            return
        principal = await self._authenticate(headers, address, scope["path"] if rule.name in CDS else None)
        request.client = principal.client
        scope["state"]["principal"] = principal
        if (wait := await self._rates.count_request(principal.client)) is not None:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", **{"retry-after": str(wait)})
        if rule is routes.UNKNOWN:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such route")
        if rule.need and not principal.may(rule.need):
            challenge = f'{REALM}, error="insufficient_scope", scope="{rule.need}"'
            raise RefusedError(
                HTTPStatus.FORBIDDEN, f"the token lacks the scope {rule.need}", **{"www-authenticate": challenge}
            )

    async def _authenticate(self, headers: dict[bytes, bytes], address: str, service: str | None) -> Principal:
        """The principal of the bearer token; ``service``: the path of a CDS service.

        An address that has shown too many bad tokens is told to wait with its next bad one. A good one passes: others
        may stand behind the same address.
        """
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if token and (known := self._verifier.find_cached(token)):
            return known
        try:
            if not token:
                raise TokenError("a bearer token is needed")
            self._checks = self._checks or anyio.CapacityLimiter(CHECKS)
            if service is not None and (issuer := self._cds.issuer_of(token)) is not None:
                verified = await anyio.to_thread.run_sync(
                    self._cds.verify, token, issuer, service, limiter=self._checks
                )
                if not await self._used.first_use(issuer, verified.id, verified.until):
                    raise TokenError("the token was used before: its jti counts once")
                return verified.principal
            return await anyio.to_thread.run_sync(self._verifier.verify, token, limiter=self._checks)
        except KeysUnavailableError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), **{"retry-after": "10"}) from None
        except TokenError as error:
            if (wait := await self._rates.block_remaining(address)) is not None:
                after = {"retry-after": str(wait)}
                raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many refused requests", **after) from None
            await self._rates.count_refusal(address)
            challenge = f'{REALM}, error="invalid_token", error_description="{error}"' if token else REALM
            raise RefusedError(HTTPStatus.UNAUTHORIZED, str(error), **{"www-authenticate": challenge}) from None


def _is_recorded(request: RequestAudit, refusal: RefusedError) -> bool:
    """Whether a refusal goes into the record: not what does not exist, nor the rest of a flood of bad tokens.

    The bad tokens that block an address are in the record; those that follow would fill the disk.
    """
    flood = refusal.problem.status == HTTPStatus.TOO_MANY_REQUESTS and request.client is None
    return not flood and refusal.problem.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


def _is_access(request: RequestAudit, status: int) -> bool:
    """Whether an answer goes into the record: it concerns a patient, or was refused, or names what does not exist."""
    refused = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
    return bool(request.subjects) or request.outcome is not None or refused


async def _refuse_unrecorded(scope: Scope, send: Send) -> None:
    problem, headers = error_handlers.problem_of(RecordUnavailableError())
    await send_problem(scope, send, problem, headers)


def _is_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def _mark_unrecorded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a safety message, with ``x-pmlm-degraded: record``."""
    others = [(name, value) for name, value in headers if name.lower() != DEGRADED]
    given = next((value.decode() for name, value in headers if name.lower() == DEGRADED), None)
    return [*others, (DEGRADED, mark_unrecorded(given).encode())]


def _is_local(address: str, headers: dict[bytes, bytes]) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it."""
    if b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
