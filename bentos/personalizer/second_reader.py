"""Ask a second reader of every message, beside the rules and within a bounded wait.

Off unless ``PMLM_TRIAGE_LLM`` names a language model. A reader that is late, fails or answers nonsense changes nothing
but a metric.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Future

from bentos.llm.errors import UpstreamError
from bentos.llm.llm_client import LLMClient
from bentos.llm.upstreams import Upstream
from bentos.telemetry import metrics
from bentos.telemetry.token_counts import count_usage
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.second_reading import build_reading_request, parse_reading
from pmlm.settings import Settings

#: How long a message waits for its reading, from its arrival; at most half of the request's own time.
WAIT_S = 4.0


class SecondReader:
    """The second reader of one service."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        model = settings.triage_llm
        upstreams = (Upstream(model.base_url, model.model, model.api_key),) if model else ()
        self._llm = LLMClient(settings, upstreams) if upstreams else None
        self._wait_s = min(WAIT_S, settings.llm_timeout_s / 2)

    def start(self, texts: Sequence[str], release: str) -> Future[tuple[Flag, ...]]:
        """Begin a reading of the messages; its flags are there within the wait, none where it failed.

        Its tokens are counted for the ``release`` that answers.
        """
        if self._llm is None:
            nothing: Future[tuple[Flag, ...]] = Future()
            nothing.set_result(())
            return nothing
        return self._llm.submit(self._read(self._llm, texts, release))

    def close(self) -> None:
        """End the connections to the reader."""
        if self._llm is not None:
            self._llm.close_blocking()

    async def _read(self, llm: LLMClient, texts: Sequence[str], release: str) -> tuple[Flag, ...]:
        request = build_reading_request(texts)

        def encode(upstream: Upstream) -> bytes:
            return json.dumps(upstream.adapt({"model": upstream.model, **request})).encode()

        try:
            until = asyncio.get_running_loop().time() + self._wait_s
            completion = await llm.complete(await llm.upstreams(), encode, until)
            count_usage(self._settings, release, llm.models[0], completion.get("usage"))
            found = parse_reading(completion["choices"][0]["message"].get("content") or "")
        except UpstreamError as error:
            metrics.count_reading(error.reason)
            return ()
        except Exception as error:  # whatever a server or a library can do, the rules' verdict stands
            metrics.count_reading("malformed" if isinstance(error, (ValueError, RecursionError)) else "failed")
            return ()
        metrics.count_reading("flagged" if found else "routine")
        return found
