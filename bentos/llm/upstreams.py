"""The language models to ask, in failover order: the configured ones, or the embedded one.

The embedded model is asked like any other: llama.cpp listens on loopback, and only this process knows its key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bentos.llm.breaker import Breaker
from bentos.llm.model_names import shorten_path
from models.llm import EmbeddedLLM, build_embedded_request
from pmlm.settings import Settings


@dataclass(slots=True)
class Upstream:
    """One language model behind OpenAI's chat API, with its breaker."""

    base_url: str
    model: str
    api_key: str | None = None
    embedded: bool = False
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
        return build_embedded_request(body) if self.embedded else body


def read_upstreams(settings: Settings) -> tuple[Upstream, ...]:
    """The configured models, first choice first; none: ask the embedded one."""
    if not settings.llm_base_url:
        return ()
    first = Upstream(settings.llm_base_url, settings.llm_model, settings.llm_api_key)
    return (first, *(Upstream(m.base_url, m.model, m.api_key) for m in settings.llm_fallbacks))


def start_embedded(llm: EmbeddedLLM) -> tuple[Upstream, ...]:
    """The embedded model, loaded if it was not yet (seconds)."""
    address, key = llm.listen()
    return (Upstream(f"{address}/v1", llm.id, key, embedded=True),)


def order_by_preference(upstreams: tuple[Upstream, ...], model: str | None) -> tuple[Upstream, ...]:
    """The model that the application names first; a name that none bears means no preference."""
    return tuple(sorted(upstreams, key=lambda u: model not in (u.model, u.name)))
