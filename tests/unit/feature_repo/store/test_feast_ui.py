"""``feast ui`` shows the definitions, from a copy that holds no patient's value.

Needs the extra ``ui``: ``uv pip install 'pmlm[ui]'``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from feature_repo.store import feast_store
from feature_repo.store.services import find_groups, list_features

pytest.importorskip("grpc_health", reason="the extra ui is not installed: uv pip install 'pmlm[ui]'")


def test_every_group_and_feature_is_listed_from_a_copy_of_the_definitions(tmp_path: Path) -> None:
    from feast.ui_server import get_app

    store, copy = tmp_path / "feast", tmp_path / "definitions"
    feast_store.define_store(store, tmp_path / "features")
    copy.mkdir()
    for name in (feast_store.CONFIG, feast_store.REGISTRY):
        shutil.copy(store / name, copy / name)
    page = TestClient(get_app(feast_store.open_store(copy), feast_store.PROJECT))
    assert "<title>" in page.get("/").text
    views = page.get("/api/v1/feature_views", params={"project": feast_store.PROJECT}).json()["featureViews"]
    assert {view["spec"]["name"] for view in views} == set(find_groups())
    shown = {feature["name"] for view in views for feature in view["spec"]["features"]}
    assert shown >= set(list_features())
