"""Label all training episodes by what their replies took up, in probabilities and in nats.

Aligns the replies (``models.replies.alignment``) with the measured gains as evidence, and maps the probabilities
to gains (``models.replies.pseudo_labels``). Reads replies of the train split only, and no facts behind them.

| case | labels |
| --- | --- |
| replies, and at least ``MIN_MEASURED`` measured episodes whose gains follow them | the uptake, mapped to nats |
| replies, and fewer measured episodes | the uptake, mapped to nats by ``DEFAULT_MAP`` |
| replies, and gains that do not follow them | the measured gains alone |
| no reply that can be read | the measured gains alone |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.encoder import Encoder
from models.refiner.interface import STYLES
from models.replies import pseudo_labels
from models.replies.alignment import AlignedReply, AlignmentCounts, align_replies
from models.schema import Episode
from pipelines.training.gains import EpisodeGains


@dataclass(frozen=True, slots=True)
class PropagatedLabels:
    """Gains to learn from; ``correlation`` of predicted and measured ones, None where no map was fitted.

    ``counts`` says how many sentences were read; all zero where the labels are the measured gains alone.
    """

    gains: list[EpisodeGains]
    correlation: float | None
    counts: AlignmentCounts = field(default_factory=AlignmentCounts)


def propagate_labels(
    measured: Sequence[EpisodeGains], episodes: Sequence[Episode], encoder: Encoder, slots: int
) -> PropagatedLabels:
    """Label all episodes with a specific reply by what it took up; else return ``measured``."""
    usable = {e.episode_id: e for e in (*(g.episode for g in measured), *episodes) if any(e.specific)}
    known = [g for g in measured if any(g.episode.specific)]
    alignment = align_replies(list(usable.values()), encoder, slots)
    if not alignment.counts.read:
        return PropagatedLabels(list(measured), None, alignment.counts)
    uptake = {a.episode.episode_id: a.uptake for a in alignment.replies}
    found = pseudo_labels.fit_gain_map(
        [uptake[g.episode.episode_id] for g in known],
        [_free_values(g.episode, g.useful) for g in known],
        [g.episode.subject_id for g in known],
    )
    if found is None and len(known) >= pseudo_labels.MIN_MEASURED:
        return PropagatedLabels(list(measured), None)
    evidence = {
        g.episode.episode_id: pseudo_labels.compute_log_evidence(g.by_sentence)
        for g in known
        if g.by_sentence is not None
    }
    if evidence:
        alignment = align_replies(list(usable.values()), encoder, slots, evidence)
    to_nats, correlation = found or (pseudo_labels.DEFAULT_MAP, None)
    own_styles = {g.episode.episode_id: g.styles for g in known}
    mean_styles: np.ndarray = np.mean(list(own_styles.values()), axis=0) if known else np.zeros(len(STYLES))
    labels = [
        _build_gains(a, to_nats, own_styles.get(a.episode.episode_id, mean_styles), slots)
        for a in alignment.replies
        if len(a.uptake)
    ]
    return PropagatedLabels(labels, correlation, alignment.counts)


def _free_values(episode: Episode, values: np.ndarray) -> np.ndarray:
    """Select the values of an episode's free segments."""
    return values[[not s.pinned for s in episode.segments[: len(values)]]]


def _build_gains(aligned: AlignedReply, to_nats: pseudo_labels.GainMap, styles: np.ndarray, slots: int) -> EpisodeGains:
    segments = aligned.episode.segments[:slots]
    free = [not s.pinned for s in segments]
    useful, uptake = np.full(len(segments), np.nan), np.full(len(segments), np.nan)
    useful[free], uptake[free] = np.round(to_nats(aligned.uptake), 6), aligned.uptake
    return EpisodeGains(aligned.episode, segments, useful, useful, styles, uptake)
