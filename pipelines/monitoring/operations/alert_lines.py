"""List the alerts that are still open, without small numbers of patients."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from pipelines.monitoring.operations.summaries import NightRead
from pipelines.runs import alerts_path
from pmlm.operations_types import AlertLine
from pmlm.settings import Settings

_COUNTED = re.compile(r"\b(\d+)( gate)?( questions| episodes| patients?)\b")
_FAILED = re.compile(r"the stage (\w+) failed")


def list_open_alerts(settings: Settings, nights: Sequence[NightRead], k: int) -> Iterator[AlertLine]:
    """The open alerts, oldest first: of the last night or later, unless the stage has ended well since."""
    last = nights[-1] if nights else None
    for alert in _read_alerts(settings):
        if last is None or alert.night > last.night or (alert.night == last.night and not _is_mended(alert, last)):
            yield alert.model_copy(update={"text": mask_small_numbers(alert.text, k)})


def mask_small_numbers(text: str, k: int) -> str:
    """Say "fewer than k" in place of a smaller number of patients or of their questions."""
    few = f"fewer than {k}"
    return _COUNTED.sub(lambda m: m[0] if int(m[1]) >= k else f"{few}{m[2] or ''}{m[3]}", text)


def _is_mended(alert: AlertLine, night: NightRead) -> bool:
    """Whether the stage that failed has ended well since."""
    failed = _FAILED.search(alert.text)
    ended = night.ended.get(failed[1]) if failed else None
    return ended is not None and ended >= datetime.fromisoformat(alert.at)


def _read_alerts(settings: Settings) -> Iterator[AlertLine]:
    path = alerts_path(settings)
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield AlertLine(**json.loads(line))
        except (ValueError, TypeError):
            continue
