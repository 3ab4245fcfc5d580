"""The MCP server over streamable HTTP at ``/mcp``: stateless, plain JSON, behind our access check.

Each start of the service makes a server of its own, because a session manager runs once. The library's guard against
DNS rebinding is off: it checks names that a proxy may change, and no request gets here without a bearer token.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

PATH = "/mcp"
MOST_BYTES = 1024 * 1024


class McpApp:
    """The ASGI app of the running server; a class, so that Starlette routes every method."""

    def __init__(self) -> None:
        self.inner: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.inner is None:
            raise RuntimeError("the MCP server has not been started")
        await self.inner(scope, receive, send)


_endpoint = McpApp()


def make_server() -> Any:
    """The MCP server with its tools."""
    from importlib.metadata import version

    from mcp.server.mcpserver import MCPServer

    from bentos.mcp import tools

    made: MCPServer[Any] = MCPServer(
        "pmlm", title="PMLM", instructions=tools.INSTRUCTIONS, version=version("pmlm"), log_level="ERROR"
    )
    tools.install(made)
    return made


@asynccontextmanager
async def _run_server(_: Starlette) -> AsyncIterator[None]:
    from mcp.server.transport_security import TransportSecuritySettings

    inner = make_server().streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MOST_BYTES,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    async with inner.router.lifespan_context(inner):
        before, _endpoint.inner = _endpoint.inner, inner
        try:
            yield
        finally:
            _endpoint.inner = before


app = Starlette(routes=[Route(PATH, _endpoint)], lifespan=_run_server)
