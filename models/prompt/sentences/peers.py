"""Sentences on similar patients: aggregates of at least k, never one of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from models.feature_row import read_number
from models.peers.aggregates import OUTCOMES
from models.schema import FeatureRow, Segment
from models.templates import look_up_label, render_sentence


def build_peer_segments(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """Build ``peer.{outcome}`` for each outcome known; none with fewer than k peers.

    ``peer_lift`` is the share of peers with the outcome (0 … 1), 0 for a mean.
    """
    n = int(read_number(row, "peers_count") or 0)
    if n == 0:
        return
    for outcome in OUTCOMES:
        value = read_number(row, f"peer_{outcome.name}")
        if value is None:
            continue
        words = look_up_label("outcome", outcome.name, outcome.label, language)
        if outcome.unit == "%":
            sentence, lift = render_sentence("peer.share", language, n=n, label=words, value=f"{value:g}"), value / 100
        else:
            unit = look_up_label("unit", outcome.unit, f" {outcome.unit}", language)
            sentence, lift = (
                render_sentence("peer.mean", language, n=n, label=words, value=f"{value:g}", unit=unit),
                0.0,
            )
        source = f"peers:n={n}"
        yield Segment(f"peer.{outcome.name}", "peer", sentence, False, (source,), 0, None, 0.0, lift)
