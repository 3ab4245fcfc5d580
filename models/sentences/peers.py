"""Sentences about patients like her: aggregates of at least k neighbours, never one of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from models import row as read
from models.phrases import display, label, say
from models.schema import FeatureRow, Segment

_RATINGS = ("peer_rating_brief", "peer_rating_detailed")  # cold start of preferences, not outcomes


def peers(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """``peer.{outcome}`` for each outcome the peer view gives; nothing where fewer than k peers were found."""
    n = int(read.number(row, "peers_count") or 0)
    if n == 0:
        return
    for name in sorted(row):
        outcome = name.removeprefix("peer_")
        value = read.number(row, name) if name.startswith("peer_") and name not in _RATINGS else None
        if value is not None:
            words = label("outcome", outcome, outcome.replace("_", " "), language)
            sentence = say("peer", language, n=n, label=display(words), value=f"{value:g}", unit="")
            yield Segment(f"peer.{outcome}", "peer", sentence, False, (f"peers:n={n}",))
