"""Every self feature, at every moment, equals a naive reading of what was known then."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import ibis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from feature_repo import point_in_time
from feature_repo.point_in_time import FOREVER
from feature_repo.store.services import list_features
from models.schema import DELETED
from tests.unit.pipelines.features import oracle
from tests.unit.pipelines.features.engine_rows import PEERS, Expressions, differences
from tests.unit.pipelines.features.histories import Event, day_ends, history

#: Hypothesis shrinks what it finds; that engine and oracle agree is shown on a thousand histories at once, below.
FEW = settings(max_examples=settings.default.max_examples // 20, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def expressions() -> Expressions:
    return Expressions()


def many_histories(seed: int, pairs: int, records: int = 24) -> tuple[list[Event], list[int]]:
    """The log of ``2 * pairs`` patients; a fact may be refiled within a pair."""
    random, events, subjects = Random(seed), [], []
    for first in range(1, 2 * pairs, 2):
        events += history(random, [first, first + 1], records)
        subjects += [first, first + 1]
    return events, subjects


def wrong(expressions: Expressions, events: list[Event], subjects: list[int]) -> list[tuple]:
    """Where engine and oracle differ: patient, moment, and the features with both values."""
    by_pair: dict[int, list[Event]] = {}
    for event in events:
        by_pair.setdefault((event["subject_id"] + 1) // 2, []).append(event)
    asked = [(subject, moment) for subject in subjects for moment in day_ends()]
    found = expressions.rows(events, asked)
    expected = {(s, t): oracle.features(by_pair.get((s + 1) // 2, []), s, t) for s, t in asked}
    compared = [(key, differences(found[key], expected[key])) for key in asked]
    return [(key, different) for key, different in compared if different]


@FEW
@given(random=st.randoms(use_true_random=False), records=st.integers(0, 30))
def test_every_feature_equals_the_naive_oracle_at_the_end_of_every_day(
    expressions: Expressions, random: Random, records: int
) -> None:
    assert wrong(expressions, history(random, [1, 2], records), [1, 2]) == []


@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_generated_histories_equal_the_oracle(expressions: Expressions, seed: int) -> None:
    events, subjects = many_histories(seed, pairs=250)
    assert wrong(expressions, events, subjects)[:3] == []


def test_generated_histories_reach_every_feature(expressions: Expressions) -> None:
    events, subjects = many_histories(7, pairs=600)
    rows = expressions.rows(events, [(subject, day_ends()[-1]) for subject in subjects]).values()
    never = {name for name in list_features() if name not in PEERS and all(row[name] in (None, [], 0) for row in rows)}
    assert never == set()


def test_the_order_in_which_events_lie_in_the_log_changes_nothing(expressions: Expressions) -> None:
    events, subjects = many_histories(3, pairs=40)
    asked = [(subject, moment) for subject in subjects for moment in day_ends()]
    assert expressions.rows(events, asked) == expressions.rows(list(reversed(events)), asked)


def test_a_later_moment_in_the_same_question_changes_no_earlier_answer(expressions: Expressions) -> None:
    events, subjects = many_histories(4, pairs=20)
    early = [(subject, moment) for subject in subjects for moment in day_ends()[:6]]
    late = [(subject, moment) for subject in subjects for moment in day_ends()[6:]]
    together = expressions.rows(events, early + late)
    assert expressions.rows(events, early) == {key: together[key] for key in early}


def test_what_becomes_known_later_changes_no_earlier_answer(expressions: Expressions) -> None:
    events, subjects = many_histories(5, pairs=20)
    cut = day_ends()[6]
    asked = [(subject, moment) for subject in subjects for moment in day_ends()[:7]]
    known_by_then = [e for e in events if e["known_at"].replace(microsecond=0) <= cut]
    assert expressions.rows(known_by_then, asked) == expressions.rows(events, asked)


def _ignoring_known_at(log: Table) -> Table:
    valid = point_in_time.build_versions(log)
    return valid.mutate(visible_from=valid.time)


def _ignoring_corrections(log: Table) -> Table:
    valid = point_in_time.build_versions(log)
    return valid.mutate(visible_until=ibis.literal(FOREVER))


def _ignoring_deletions(log: Table) -> Table:
    return point_in_time.build_versions(log.filter(log.code != DELETED))


def _believing_the_future(log: Table) -> Table:
    valid = point_in_time.build_versions(log)
    return valid.mutate(visible_from=valid.known_at.truncate("s"))


def _correcting_from_the_first_day(log: Table) -> Table:
    only_last = log.known_at.max().over(ibis.window(group_by=log.record))
    last = log.filter(log.known_at == only_last)
    first = log.group_by("record").aggregate(first=log.known_at.min())
    early = last.inner_join(first, "record")
    return point_in_time.build_versions(early.mutate(known_at=early.first).drop("first"))


@pytest.mark.parametrize(
    "leak",
    [
        _ignoring_known_at,
        _ignoring_corrections,
        _ignoring_deletions,
        _believing_the_future,
        _correcting_from_the_first_day,
    ],
)
def test_the_oracle_notices_a_planted_leak(leak: Callable[[Table], Table]) -> None:
    events, subjects = many_histories(6, pairs=12)
    assert wrong(Expressions(versions=leak), events, subjects) != []
