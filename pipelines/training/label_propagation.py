"""What the warm start learns from: a label for every segment of every training episode, from the few measured ones.

``models.refiner.pseudo_labels`` predicts single gains from how a reply takes a segment up; here it is fitted to the
measured episodes and asked about all. Replies are those of the train split only, and no facts behind them are read.
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
    """``gains`` to learn from, and how well reading the replies told those of other patients (None: not used)."""

    gains: list[EpisodeGains]
    correlation: float | None


def propagate_labels(
    measured: Sequence[EpisodeGains], episodes: Sequence[Episode], encode: Encoder, slots: int
) -> PropagatedLabels:
    """Predicted gains of all ``episodes`` with a specific reply; ``measured`` as they are where nothing can be read."""
    everything = {e.episode_id: e for e in (*(g.episode for g in measured), *episodes) if any(e.specific)}
    rare = pseudo_labels.compute_idf(
        text for e in everything.values() for text in (*e.reply, *(s.text for s in e.segments[:slots] if not s.pinned))
    )
    paid = [g for g in measured if any(g.episode.specific)]
    x = [pseudo_labels.build_overlap_features(_episode_text(g.episode, slots), encode, rare) for g in paid]
    found = pseudo_labels.fit_predictor(
        x, [_free_values(g.episode, g.useful) for g in paid], [g.episode.subject_id for g in paid]
    )
    if found is None:
        return PropagatedLabels(list(measured), None)
    predict, told = found
    styles: np.ndarray = np.mean([g.styles for g in paid], axis=0)
    own = {g.episode.episode_id: g.styles for g in paid}
    return PropagatedLabels(
        [
            _build_gains(
                e,
                predict(pseudo_labels.build_overlap_features(_episode_text(e, slots), encode, rare)),
                own.get(e.episode_id, styles),
                slots,
            )
            for e in everything.values()
            if any(not s.pinned for s in e.segments[:slots])
        ],
        told,
    )


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
    """The values of an episode's free segments."""
    return values[[not s.pinned for s in episode.segments[: len(values)]]]


def _build_gains(episode: Episode, values: np.ndarray, styles: np.ndarray, slots: int) -> EpisodeGains:
    segments = episode.segments[:slots]
    useful = np.full(len(segments), np.nan)
    useful[[not s.pinned for s in segments]] = np.round(values, 6)
    return EpisodeGains(episode, segments, useful, useful, styles)
