"""The language models to ask, in failover order: configured servers, or one of this process.

A model of this process is asked like any other: llama.cpp listens on loopback, and only this process knows its key.
Where none is named, the embedded answer stands in the list: it restates facts, and no model is asked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentos.llm.breaker import Breaker
from bentos.llm.model_names import shorten_path
from models.llm import FILE_MAX_TOKENS, EmbeddedLLM, build_embedded_request
from pmlm.language_models import EMBEDDED_ANSWER, SMALL_MODEL
from pmlm.settings import Settings


@dataclass(slots=True)
class Upstream:
    """One language model behind OpenAI's chat API, with its breaker.

    ``embedded``: what PMLM brings along, the small model or the embedded answer, which ``restates`` facts and asks
    nobody. ``max_tokens`` bounds the answers of a model of this process. ``counts_streams`` until the server has
    refused to be asked for a stream's usage.
    """

    base_url: str
    model: str
    api_key: str | None = None
    embedded: bool = False
    restates: bool = False
    max_tokens: int | None = None
    counts_streams: bool = True
    breaker: Breaker = field(default_factory=Breaker)

    @property
    def name(self) -> str:
        """The model as the outside knows it: of a file's path, the file's name alone."""
        return shorten_path(self.model)

    @property
    def url(self) -> str:
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @property
    def headers(self) -> dict[str, str]:
        """Our own headers alone: nothing of a client's request but its body is passed on."""
        key = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"content-type": "application/json", "accept-encoding": "identity", **key}

    def adapt(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body as this model takes it."""
        return body if self.max_tokens is None else build_embedded_request(body, self.max_tokens)


def read_upstreams(settings: Settings) -> tuple[Upstream, ...]:
    """The configured models, first choice first, or the embedded answer; none: a model of this process is to start."""
    if not settings.llm_base_url:
        restates = settings.llm_model == EMBEDDED_ANSWER
        return (Upstream("", EMBEDDED_ANSWER, embedded=True, restates=True),) if restates else ()
    first = Upstream(settings.llm_base_url, settings.llm_name, settings.llm_api_key)
    return (first, *(Upstream(m.base_url, m.model, m.api_key) for m in settings.llm_fallbacks))


def choose_own_model(settings: Settings) -> EmbeddedLLM:
    """The model of this process that the settings name: the small one, or a GGUF file; not loaded yet."""
    if settings.llm_model in SMALL_MODEL:
        # one thread: two that wait for each other on a busy machine are ten times slower
        return EmbeddedLLM(threads=1)
    return EmbeddedLLM(os.cpu_count() or 1, FILE_MAX_TOKENS, Path(settings.llm_model), settings.llm_context_tokens)


def start_own_model(llm: EmbeddedLLM) -> tuple[Upstream, ...]:
    """The model of this process, loaded if it was not yet (seconds)."""
    address, key = llm.listen()
    return (Upstream(f"{address}/v1", llm.id, key, embedded=llm.path is None, max_tokens=llm.max_tokens),)


def order_by_preference(upstreams: tuple[Upstream, ...], model: str | None) -> tuple[Upstream, ...]:
    """The model that the application names first; a name that none bears means no preference."""
    return tuple(sorted(upstreams, key=lambda u: model not in (u.model, u.name)))
