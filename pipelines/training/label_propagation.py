"""Predict gains of all training episodes from the few measured ones.

Fits ``models.refiner.pseudo_labels`` to the measured episodes and predicts all. Reads replies of the train split only,
and no facts behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.encoder import Encoder
from models.refiner import pseudo_labels
from models.schema import Episode
from pipelines.training.gains import EpisodeGains


@dataclass(frozen=True, slots=True)
class PropagatedLabels:
    """Gains to learn from; ``correlation`` of predicted and measured ones, None if unused."""

    gains: list[EpisodeGains]
    correlation: float | None


def propagate_labels(
    measured: Sequence[EpisodeGains], episodes: Sequence[Episode], encoder: Encoder, slots: int
) -> PropagatedLabels:
    """Predict gains of all episodes with a specific reply; else return ``measured``."""
    usable = {e.episode_id: e for e in (*(g.episode for g in measured), *episodes) if any(e.specific)}
    idf = pseudo_labels.compute_idf(
        text for e in usable.values() for text in (*e.reply, *(s.text for s in e.segments[:slots] if not s.pinned))
    )
    known = [g for g in measured if any(g.episode.specific)]
    found = pseudo_labels.fit_predictor(
        [pseudo_labels.build_overlap_features(_episode_text(g.episode, slots), encoder, idf) for g in known],
        [_free_values(g.episode, g.useful) for g in known],
        [g.episode.subject_id for g in known],
    )
    if found is None:
        return PropagatedLabels(list(measured), None)
    predict, correlation = found
    mean_styles: np.ndarray = np.mean([g.styles for g in known], axis=0)
    own_styles = {g.episode.episode_id: g.styles for g in known}
    labels = []
    for episode_id, episode in usable.items():
        text = _episode_text(episode, slots)
        if text.texts:
            values = predict(pseudo_labels.build_overlap_features(text, encoder, idf))
            labels.append(_build_gains(episode, values, own_styles.get(episode_id, mean_styles), slots))
    return PropagatedLabels(labels, correlation)


def _episode_text(episode: Episode, slots: int) -> pseudo_labels.EpisodeText:
    free = [s for s in episode.segments[:slots] if not s.pinned]
    return pseudo_labels.EpisodeText(
        episode.subject_id,
        episode.question,
        tuple(text for text, own in zip(episode.reply, episode.specific, strict=True) if own),
        tuple(s.text for s in free),
        tuple(s.tokens for s in free),
    )


def _free_values(episode: Episode, values: np.ndarray) -> np.ndarray:
    """Select the values of an episode's free segments."""
    return values[[not s.pinned for s in episode.segments[: len(values)]]]


def _build_gains(episode: Episode, values: np.ndarray, styles: np.ndarray, slots: int) -> EpisodeGains:
    segments = episode.segments[:slots]
    useful = np.full(len(segments), np.nan)
    useful[[not s.pinned for s in segments]] = np.round(values, 6)
    return EpisodeGains(episode, segments, useful, useful, styles)
