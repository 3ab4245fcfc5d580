"""Tokens are counted once each, priced by kind, and never guessed."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from bentos.telemetry.token_counts import count_usage, read_tokens
from pmlm.settings import Settings, load_settings

PRICES = {"priced": {"input": 2.0, "output": 10.0, "cached_input": 0.5}, "plain": {"input": 2.0, "output": 10.0}}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}


@pytest.fixture
def settings() -> Settings:
    return load_settings(llm_prices=PRICES)


def value(name: str, release: str, model: str, **more: str) -> float | None:
    return REGISTRY.get_sample_value(f"pmlm_llm_{name}_total", {"release": release, "model": model, **more})


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (USAGE, (600, 400, 100)),
        ({"prompt_tokens": 9, "completion_tokens": 5}, (9, 0, 5)),
        ({"prompt_tokens": 9}, (9, 0, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 12}}, (0, 9, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": None, "completion_tokens": True}, (9, 0, 0)),
    ],
)
def test_no_token_is_of_two_kinds(usage: dict[str, Any], tokens: tuple[int, int, int]) -> None:
    assert read_tokens(usage) == dict(zip(("input", "cached_input", "output"), tokens, strict=True))


@pytest.mark.parametrize("usage", [None, {}, [], "14", {"total_tokens": 14}, {"prompt_tokens": -1}])
def test_what_was_not_counted_is_not_guessed(settings: Settings, usage: Any) -> None:
    before = value("uncounted", "r0", "priced") or 0.0
    assert read_tokens(usage) is None
    count_usage(settings, "r0", "priced", usage)
    assert value("uncounted", "r0", "priced") == before + 1
    assert value("tokens", "r0", "priced", kind="input") is None
    assert value("cost", "r0", "priced") is None


def test_each_release_and_model_has_its_own_count_and_cost(settings: Settings) -> None:
    count_usage(settings, "r1", "priced", USAGE)
    count_usage(settings, "r1", "priced", USAGE)
    count_usage(settings, "r2", "plain", USAGE)
    count_usage(settings, "r2", "unpriced", USAGE)
    assert [value("tokens", "r1", "priced", kind=kind) for kind in ("input", "cached_input", "output")] == [
        1200, 800, 200
    ]  # fmt: skip
    assert value("cost", "r1", "priced") == pytest.approx(2 * (600 * 2.0 + 400 * 0.5 + 100 * 10.0) / 1e6)
    assert value("cost", "r2", "plain") == pytest.approx((1000 * 2.0 + 100 * 10.0) / 1e6)
    assert value("tokens", "r2", "unpriced", kind="output") == 100
    assert value("cost", "r2", "unpriced") is None
