"""Load the parts of a release: refiner, ranking, peers' outcomes and drafts, hashed first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bentos.personalizer import release
from bentos.personalizer.candidate_cache import CandidateCache
from bentos.personalizer.release import Release
from bentos.personalizer.release_files import check_release_files
from feature_repo.store import services
from models.drafts.catalogue import DraftCatalogue, read_catalogue
from models.encoder import Encoder
from models.peers.outcome_estimates import load_findings
from models.prompt.ranker_file import load_ranker
from models.prompt.ranking import Ranker
from models.refiner import checkpoint
from models.refiner.interface import Refiner
from pmlm.errors import ServingError
from pmlm.settings import Settings


@dataclass(frozen=True, slots=True)
class ReleaseParts:
    """The parts of one release, which are served together or not at all."""

    served: Release
    refiner: Refiner
    ranker: Ranker | None
    candidates: CandidateCache
    catalogue: DraftCatalogue | None


def load_parts(settings: Settings, folder: Path, encoder: Encoder) -> ReleaseParts:
    """Load the release in ``folder``.

    :class:`ServingError` where there is none, a file is not as released, or features differ.
    """
    check_release_files(settings, folder)
    served = release.read_release(folder)
    if served.feature_schema != services.hash_schema():
        raise ServingError("the release was made for other features: run `pmlm package`")
    return ReleaseParts(
        served,
        checkpoint.load_refiner(folder / release.REFINER, encoder),
        load_ranker(folder / release.RANKER),
        CandidateCache(settings.currency_rule, load_findings(folder)),
        read_catalogue(folder / release.DRAFTS),
    )
