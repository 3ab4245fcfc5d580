"""The search by matrix products equals the plain definition, ties and spans included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.peers import exact_knn

Places = exact_knn.Places


def by_hand(embedding: np.ndarray, names: Places, asked: int, low: int, high: int, wanted: int) -> list[int]:
    others = [place for place in range(low, high) if place != asked]
    away = {place: float(((embedding[place] - embedding[asked]) ** 2).sum()) for place in others}
    return [int(names[place]) for place in sorted(others, key=lambda p: (away[p], names[p]))][:wanted]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    members=st.integers(1, 400),
    wide=st.integers(1, 50),
    wanted=st.integers(1, 20),
    rows=st.sampled_from((1, 7, 256)),
    distances=st.sampled_from((1, 500, 1 << 21)),
    fractions=st.booleans(),
)
def test_it_finds_whom_the_definition_finds(
    seed: int, members: int, wide: int, wanted: int, rows: int, distances: int, fractions: bool
) -> None:
    random = np.random.default_rng(seed)
    # few values: many are equally near; large ones need double precision
    embedding = random.integers(-3, 4, (members, wide)) * (1 / 16 if fractions else 40.0)
    names = random.permutation(members)
    asked = np.sort(random.integers(0, members, 30))
    ends = np.sort(random.integers(0, members + 1, (30, 2)), axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_knn, "ROWS", rows)
        patch.setattr(exact_knn, "DISTANCES", distances)
        points = exact_knn.allocate_points(*embedding.shape, float(np.abs(embedding).max()))
        points[:] = exact_knn.to_steps(embedding)
        found = exact_knn.find_nearest(points, names, asked, ends[:, 0], ends[:, 1], wanted)
    for row, own, (low, high) in zip(found, asked, ends, strict=True):
        assert [name for name in row.tolist() if name >= 0] == by_hand(embedding, names, own, low, high, wanted)


@pytest.mark.parametrize(("largest", "precision"), [(3.0, np.float32), (1000.0, np.float64)])
def test_points_are_as_precise_as_their_distances_need(largest: float, precision: type) -> None:
    assert exact_knn.allocate_points(4, 53, largest).dtype == precision
