"""Count the tokens of a language model's answer, as its server does, and their cost.

    cost = Σ_kind tokens_kind · price_kind / 10⁶,   kind ∈ {input, cached_input, output}

Labels are the release, the model's name and the kind. What a server does not say is not guessed: such answers are
counted by themselves. A model without a price (``PMLM_LLM_PRICES``) is counted in tokens alone.
"""

from __future__ import annotations

from typing import Any

from bentos.telemetry import metrics
from pmlm.settings import Settings

MILLION = 1_000_000


def count_usage(settings: Settings, release: str, model: str, usage: Any) -> None:
    """Count one answer; ``usage`` is that member of a chat completion."""
    tokens = read_tokens(usage)
    if tokens is None:
        metrics.LLM_UNCOUNTED.labels(release, model).inc()
        return
    price = settings.llm_prices.get(model)
    for kind, count in tokens.items():
        metrics.LLM_TOKENS.labels(release, model, kind).inc(count)
        if price is not None:
            metrics.LLM_COST.labels(release, model).inc(count * price.of(kind) / MILLION)


def read_tokens(usage: Any) -> dict[str, int] | None:
    """Tokens by kind, none twice: what was read from a cache is no other input. None where nothing was counted."""
    if not isinstance(usage, dict):
        return None
    given, written = _read_count(usage.get("prompt_tokens")), _read_count(usage.get("completion_tokens"))
    if given is None and written is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _read_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    cached = min(cached or 0, given or 0)
    return {"input": (given or 0) - cached, "cached_input": cached, "output": written or 0}


def _read_count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
