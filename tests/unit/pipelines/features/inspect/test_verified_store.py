"""``pmlm features verify`` asks the store that is configured, not the one that was filled before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from feature_repo.store import feast_store
from pipelines.features.build import stage
from pipelines.features.inspect import verify
from pipelines.features.online import materialise
from tests.unit.pipelines.features.built import LAST, clinic, known_on, patients, write_batch
from tests.unit.pipelines.features.servers import PASSWORD, Server, postgres, redis


@pytest.mark.parametrize("start", [redis, postgres])
def test_a_configured_server_is_reached_and_must_be_what_is_served(
    tmp_path: Path, start: Callable[[], AbstractContextManager[Server]]
) -> None:
    sqlite = clinic(tmp_path)
    write_batch(sqlite, LAST, known_on(patients(seed=31, pairs=2), None, LAST))
    stage.run(sqlite, LAST)
    materialise.run(sqlite, LAST)
    with start() as server:
        settings = sqlite.model_copy(update={"online_store": server.url})

        def check() -> dict[str, verify.FeatureCheck]:
            return {one.name: one for one in verify.verify(settings, 3, max_age_days=1e6)}

        before = check()
        assert before["configured store answers"].holds
        assert not before["online store is up to date"].holds
        assert "not what the endpoint reads yet" in before["online store is up to date"].found
        materialise.run(settings, LAST)
        after = check()
        assert after["online store is up to date"].holds
        assert after["online equals offline"].holds
        with server.frozen():
            silent = check()
        assert not silent["configured store answers"].holds
        assert PASSWORD not in silent["configured store answers"].found
        assert "online equals offline" not in silent
        feast_store.open_store(settings.feast).teardown()
