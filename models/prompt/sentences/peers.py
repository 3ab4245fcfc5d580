"""Sentences about patients like her: aggregates of at least k neighbours, never one of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from models import feature_row as read
from models.peers.search import OUTCOMES
from models.schema import FeatureRow, Segment
from models.templates import label, say


def peers(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """``peer.{outcome}`` for each outcome the peer view gives; nothing where fewer than k peers were found.

    ``peer_lift`` is the share of peers with the outcome (0 … 1), 0 for a mean.
    """
    n = int(read.number(row, "peers_count") or 0)
    if n == 0:
        return
    for outcome in OUTCOMES:
        value = read.number(row, f"peer_{outcome.name}")
        if value is None:
            continue
        words = label("outcome", outcome.name, outcome.label, language)
        if outcome.unit == "%":
            sentence, lift = say("peer.share", language, n=n, label=words, value=f"{value:g}"), value / 100
        else:
            unit = label("unit", outcome.unit, f" {outcome.unit}", language)
            sentence, lift = say("peer.mean", language, n=n, label=words, value=f"{value:g}", unit=unit), 0.0
        source = f"peers:n={n}"
        yield Segment(f"peer.{outcome.name}", "peer", sentence, False, (source,), 0, None, 0.0, lift)
