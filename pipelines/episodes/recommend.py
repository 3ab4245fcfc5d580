"""Fit the initial ranking to the training replies, and order every episode by it.

``data/episodes/ranker/`` is what tonight's episodes were ordered by and what tonight's release ranks by, so that what
is served is what was trained and judged. It is fitted from replies of the training split alone, to questions before
the cut in time: no held-out patient's reply reaches any ranking, and no reply to a question asked after the cut. In
training the patient of a reply is never their own donor; among training patients a donor's reply may be the later one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.encoder import Encoder
from models.peers.recommendation import Reply
from models.prompt import ranker_file, ranking_fit
from models.prompt.ranking import Questioner, Ranker, rank_segments
from models.relevance.concerns import match_concerns
from models.replies.alignment import align_replies
from models.schema import Episode
from pipelines import splits
from pmlm.settings import Settings


def ranker_folder(settings: Settings) -> Path:
    return settings.episodes / "ranker"


def fit_ranker(settings: Settings, episodes: Sequence[Episode], encoder: Encoder) -> Ranker | None:
    """Fit the ranking to the training episodes and save it; None where there is too little to learn from."""
    folder = ranker_folder(settings)
    fitted = ranking_fit.fit_ranker(read_replies(episodes, encoder), encoder, settings.k_anonymity)
    shutil.rmtree(folder, ignore_errors=True)
    if fitted is None:
        return None
    ranker_file.save_ranker(folder, fitted)
    return ranker_file.load_ranker(folder)  # as it will be served, to the last bit


def read_replies(episodes: Sequence[Episode], encoder: Encoder) -> list[Reply]:
    """The training split's replies, with each free segment's probability of being taken up."""
    trained = [e for e in episodes if e.split == splits.TRAIN]
    if not trained:
        return []
    vectors = encoder.encode([e.question for e in trained])
    aligned = align_replies(trained, encoder).replies
    return [
        Reply(e.episode_id, e.subject_id, e.as_of, vector, e.free, reply.uptake, match_concerns(e.question, encoder))
        for e, vector, reply in zip(trained, vectors, aligned, strict=True)
    ]


def rank_episodes(episodes: Sequence[Episode], ranker: Ranker | None, encoder: Encoder) -> list[Episode]:
    """Order each episode's segments as its initial prompt has them."""
    return [
        replace(e, segments=rank_segments(e.question, e.segments, encoder, ranker, Questioner(e.subject_id, e.as_of)))
        for e in episodes
    ]
