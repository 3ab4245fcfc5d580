"""A store that is down makes one request wait, not all of them; one that is back is found by the next read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bentos.personalizer.patient import feature_client
from bentos.personalizer.patient.feature_client import FeatureClient
from feature_repo.store import online
from pmlm.errors import FeaturesUnavailableError


class Store:
    """Counts how often it is really asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = True
        self.takes_s = 0.0

    def read(self, *_: Any) -> None:
        self.asked += 1
        if self.down:
            time.sleep(self.takes_s)
            raise online.StoreDownError("silent")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(online, "read", store.read)
    return store


def test_only_the_first_request_waits_for_a_store_that_is_down(store: Store) -> None:
    rows = FeatureClient(Path("nowhere"))
    for _ in range(5):
        with pytest.raises(FeaturesUnavailableError):
            rows.read(7)
    assert store.asked == 1


def test_a_store_that_is_back_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_client, "RESTS_S", 0.0)
    rows = FeatureClient(Path("nowhere"))
    with pytest.raises(FeaturesUnavailableError):
        rows.read(7)
    store.down = False
    assert rows.read(7) is None
    assert rows.readable()


def test_health_does_not_load_the_store(store: Store) -> None:
    rows = FeatureClient(Path("nowhere"))
    assert not any(rows.readable() for _ in range(5))
    store.down = False
    assert store.asked == 1


def test_a_silent_store_is_tried_beside_the_requests_until_it_answers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_client, "RESTS_S", 0.05)
    store.takes_s = 1.0
    rows = FeatureClient(Path("nowhere"))
    with pytest.raises(FeaturesUnavailableError):
        rows.read(7)
    until, slowest = time.monotonic() + 2.5, 0.0
    while (started := time.monotonic()) < until:
        with pytest.raises(FeaturesUnavailableError):
            rows.read(7)
        slowest = max(slowest, time.monotonic() - started)
        assert not rows.readable()
        time.sleep(0.01)
    assert slowest < 0.8  # none waited for the store
    assert 2 <= store.asked <= 5  # one thread tries again and again, not one for each request
    store.down = False
    until = time.monotonic() + 5
    while not rows.readable() and time.monotonic() < until:
        time.sleep(0.02)
    assert rows.read(7) is None
