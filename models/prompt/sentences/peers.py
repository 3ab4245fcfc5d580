"""Sentences on similar patients: estimates from at least k that beat the cohort's mean."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from models.peers.outcome_estimates import Findings, estimate_outcomes
from models.schema import FeatureRow, Segment
from models.templates import look_up_label, render_sentence


def build_peer_segments(row: FeatureRow, as_of: datetime, language: str, findings: Findings) -> Iterator[Segment]:
    """Build ``peer.{outcome}`` for each outcome that is stated; none with fewer than k peers.

    ``peer_lift`` is the estimated share with the outcome (0 … 1), 0 for a mean.
    """
    for estimate in estimate_outcomes(row, findings):
        outcome, n, value = estimate.outcome, estimate.peers, estimate.value
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
