"""Load the releases that the settings name beside the one that is served."""

from __future__ import annotations

from pathlib import Path

from bentos.personalizer.beside.other_releases import OtherReleases
from bentos.personalizer.personalizer import Personalizer
from bentos.personalizer.release import read_release
from bentos.personalizer.switching.same_code import is_same_code
from bentos.telemetry import logs
from pmlm.errors import PmlmError, ServingError
from pmlm.settings import Settings


def open_other_releases(settings: Settings, personalizer: Personalizer) -> OtherReleases[Personalizer]:
    """Load the releases that ``PMLM_CANARY`` and ``PMLM_SHADOW`` name beside the one that is served."""
    canary = settings.canary if settings.canary_share else None
    return OtherReleases(_open(settings, personalizer, canary), _open(settings, personalizer, settings.shadow))


def _open(settings: Settings, personalizer: Personalizer, name: str | None) -> Personalizer | None:
    if name is None:
        return None
    folder = settings.workspace / "releases" / Path(name).name
    try:
        if not is_same_code(read_release(folder).version):
            raise ServingError("it was made with other code")
        return personalizer.open_next(folder)
    except (PmlmError, OSError, ValueError) as error:
        reason = str(error) if isinstance(error, PmlmError) else type(error).__name__
        logs.logger().error("a release beside the current one cannot be served", release=Path(name).name, reason=reason)
        return None
