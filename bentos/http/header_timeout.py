"""Close a connection whose request does not come: uvicorn waits for its headers without end."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEADERS_S = 10.0


class TimedHeadersProtocol(HttpToolsProtocol):
    """uvicorn's own protocol with a limit on how long the headers of a request may take."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def _await_headers(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(HEADERS_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # else an answer is under way
            status = STATUS_LINE[HTTPStatus.REQUEST_TIMEOUT]
            self.transport.write(status + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def install() -> None:
    """Let every server that starts in this process use it, BentoML's too, which has no option for that."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{TimedHeadersProtocol.__name__}"
