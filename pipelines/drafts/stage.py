"""Stage ``drafts``: learn from training replies which sentences the clinic writes for which fact.

Reads the training episodes alone, and what clinicians did with earlier drafts; writes ``models/drafts``. With fewer
than k patients who received like replies the catalogue is empty, and the endpoint says so.

Run: ``pmlm stage drafts``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from models.drafts import catalogue, learning
from models.drafts.catalogue import DraftCatalogue, Judgement
from models.drafts.occurrences import read_links
from models.encoder import Encoder
from models.replies.alignment import align_replies
from models.schema import Episode
from pipelines import splits
from pipelines.drafts.outcomes import count_judgements
from pipelines.embedding_cache import open_encoder
from pipelines.episodes import episode_file
from pipelines.records.deidentify.pii_patterns import mask_patterns
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import hash_files, write_bytes

_SIGNATURE = re.compile(r"^(?:(?:kind|best|warm)? ?regards|yours|sincerely|dr\.?|midwife|nurse)\b", re.IGNORECASE)


def run(settings: Settings, night: str) -> StageSummary:
    """Write ``models/drafts/catalogue.json``."""
    with stage_run(settings, night, "drafts") as summary:
        episodes = [e for e in episode_file.read_episodes(settings) if e.split == splits.TRAIN]
        with open_encoder(settings) as encoder:
            learnt, counts = learn(episodes, encoder, settings.k_anonymity, count_judgements(settings, night))
        file = catalogue_file(settings)
        write_bytes(file, catalogue.dump_catalogue(learnt))
        summary.rows_in, summary.rows_out = len(episodes), len(learnt.sentences)
        summary.figures = asdict(counts)
        summary.hashes = {"catalogue": hash_files([file])}
    return summary


def learn(
    episodes: Sequence[Episode], encoder: Encoder, k: int, judgements: dict[str, Judgement] | None = None
) -> tuple[DraftCatalogue, learning.CatalogueCounts]:
    """Learn the catalogue of training episodes."""
    links = read_links(align_replies(episodes, encoder)) if episodes else []
    return learning.learn_catalogue(episodes, links, encoder, k, is_clean, judgements or {})


def is_clean(sentence: str) -> bool:
    """Whether a sentence holds no address, date or number of a person, and is no signature.

    Names that the record knows are placeholders already, and a sentence with a placeholder is left out.
    """
    return mask_patterns(sentence) == sentence and not _SIGNATURE.match(sentence)


def catalogue_file(settings: Settings) -> Path:
    """The file of the clinic's catalogue."""
    return settings.models / "drafts" / catalogue.FILE
