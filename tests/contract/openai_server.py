"""The whole service on a real socket in this process, so that streams, disconnects and deadlines are real."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import openai
import pytest
import uvicorn

from bentos.auth import keys
from pmlm.settings import Settings


@dataclass(frozen=True)
class Gateway:
    """Where it listens, and how to ask it."""

    settings: Settings
    url: str
    overrides: dict[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys.development_token(self.settings)}"}

    @property
    def openai(self) -> openai.OpenAI:
        """The official client, without retries of its own."""
        token = keys.development_token(self.settings)
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=token, max_retries=0, timeout=30)

    def token_for(self, patient: str) -> str:
        """A token that opens this patient only."""
        return keys.mint(self.settings, "one", ("system/*.rs",), [self.settings.subject_id(patient)], 1)


@contextmanager
def serve(settings: Settings, **overrides: str) -> Iterator[Gateway]:
    """The service under these ``PMLM_*`` settings; the environment must name the clinic's stores already."""
    from bentos.service import PMLM

    with pytest.MonkeyPatch.context() as patch:  # a service reads its settings when it starts
        for name, value in overrides.items():
            patch.setenv(f"PMLM_{name.upper()}", value)
        server = uvicorn.Server(uvicorn.Config(PMLM.to_asgi(), port=0, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
    try:
        yield Gateway(settings, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", overrides)
    finally:
        server.should_exit = True
        thread.join(10)
