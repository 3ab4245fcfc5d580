"""The facts that the sample's rules read are candidates, or no policy could find them."""

from __future__ import annotations

from pipelines.episodes import episode_file
from tests.conftest import NightDone

SHARE = 0.95


def test_the_facts_behind_a_reply_are_among_the_candidates_of_its_question(night_done: NightDone) -> None:
    with_facts = [e for e in episode_file.read_episodes(night_done.settings) if e.facts]
    found = [e.facts <= {s.key for s in e.segments} for e in with_facts]
    assert len(found) >= 20
    assert sum(found) / len(found) >= SHARE
