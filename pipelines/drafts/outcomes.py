"""Count what clinicians did with the sentences of drafts: accepted, edited, rejected.

From the endpoint's reward log (``<workspace>/feedback``), within the daily cap of ``models.feedback``; a line holds the
name of the sentence and no word of it.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from models import feedback
from models.drafts.catalogue import Judgement
from pipelines.night_dates import end_of_night
from pmlm.settings import Settings
from pmlm.storage import read_lines


def count_judgements(settings: Settings, night: str) -> dict[str, Judgement]:
    """Each wording's name → how often it was accepted, edited and rejected by the end of the night."""
    end = end_of_night(night)
    oldest = settings.localize(datetime.now(UTC)) - timedelta(days=settings.feedback_days)
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted((settings.workspace / "feedback").glob("*.jsonl")):
        if path.stem < f"{oldest:%Y%m%d}":
            continue
        counted, _ = feedback.cap_feedback(read_lines(path, feedback.parse_feedback), settings.feedback_a_day)
        counts.update((one.sentence, one.outcome) for one in counted if one.sentence and one.outcome and one.at <= end)
    names = sorted({sentence for sentence, _ in counts})
    return {
        name: Judgement(*(counts[name, outcome] for outcome in ("accepted", "edited", "rejected"))) for name in names
    }
