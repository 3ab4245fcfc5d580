"""What the sample's rules read of a record is what the method can say of it: else no policy could find the facts."""

from __future__ import annotations

from pipelines.episodes import episode_file
from tests.conftest import NightDone

SHARE = 0.95


def test_the_facts_behind_a_reply_are_among_the_candidates_when_she_asked(night_done: NightDone) -> None:
    told = [e for e in episode_file.read(night_done.settings) if e.facts]
    found = [e.facts <= {s.key for s in e.segments} for e in told]
    assert len(found) >= 20
    assert sum(found) / len(found) >= SHARE
