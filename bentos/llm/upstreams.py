"""The language models that may be asked, in failover order: the configured ones, or the embedded one.

The embedded model is asked like any other: llama.cpp listens on loopback and only this process knows its key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bentos.openai.breaker import Breaker

from models.llm import LLM, EmbeddedLLM, embedded_request
from pmlm.settings import Settings

#: Answers that the embedded model may have waiting: it writes one at a time, in seconds.
EMBEDDED_INSIDE = 8


@dataclass(slots=True)
class Upstream:
    """One language model. ``embedded`` says that its requests need what :func:`embedded_request` does."""

    base_url: str
    model: str
    api_key: str | None = None
    embedded: bool = False
    breaker: Breaker = field(default_factory=Breaker)

    @property
    def url(self) -> str:
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @property
    def headers(self) -> dict[str, str]:
        """Nothing of the client's request but its body is passed on."""
        key = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"content-type": "application/json", "accept-encoding": "identity", **key}

    def adapted(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body as this model takes it."""
        return embedded_request(body) if self.embedded else body


def configured(settings: Settings) -> tuple[Upstream, ...]:
    """The language models of the settings, first choice first; empty: the embedded one is to be asked."""
    if not settings.llm_base_url:
        return ()
    first = Upstream(settings.llm_base_url, settings.llm_model, settings.llm_api_key)
    return (first, *(Upstream(m.base_url, m.model, m.api_key) for m in settings.llm_fallbacks))


def embedded(llm: LLM) -> tuple[Upstream, ...]:
    """The embedded model, loaded if it was not yet (seconds)."""
    if not isinstance(llm, EmbeddedLLM):
        raise TypeError("without a configured language model the personalizer's own is the embedded one")
    address, key = llm.listen()
    return (Upstream(f"{address}/v1", llm.id, key, embedded=True),)


def in_order(upstreams: tuple[Upstream, ...], model: str | None) -> tuple[Upstream, ...]:
    """The one that the application names first, if it names one of them; any other name means no preference."""
    return tuple(sorted(upstreams, key=lambda u: u.model != model))
