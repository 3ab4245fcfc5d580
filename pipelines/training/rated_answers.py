"""Match patients' ratings of served answers to the episodes that they are about.

An answer is matched by the keyed hash of its question and its patient: only an episode has what there was to choose
from. Questions that the clinic's records do not hold stay unmatched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models import feedback
from models.feedback import Feedback
from models.schema import Episode
from pipelines.night_dates import end_of_night
from pipelines.records.feedback.intake import find_answers, reward_log_folder
from pmlm.settings import Settings
from pmlm.storage import read_lines


def read_rated(settings: Settings, night: str) -> dict[str, Feedback]:
    """Read patients' points by answer, given by the end of the night, within the daily cap; the last of each answer."""
    latest: dict[str, Feedback] = {}
    end = end_of_night(night)
    for path in sorted(reward_log_folder(settings).glob("*.jsonl")):
        counted, _ = feedback.cap_feedback(read_lines(path, feedback.parse_feedback), settings.feedback_a_day)
        for one in counted:
            if one.by == "patient" and one.points is not None and one.at <= end:
                latest[one.answer] = one
    return latest


def match_episodes(
    settings: Settings, rated: dict[str, Feedback], episodes: Iterable[Episode]
) -> Iterator[tuple[Feedback, Episode]]:
    """Yield each rated answer whose question an episode of the same patient asks, with the latest such episode."""
    asked = {answer.id: answer.question for answer in find_answers(settings, set(rated)).values()}
    known: dict[tuple[int, int], Episode] = {}
    if asked:
        for episode in sorted(episodes, key=lambda e: (e.as_of, e.episode_id)):
            known[episode.subject_id, settings.pseudonym("question", episode.question)] = episode
    for one in rated.values():
        match = known.get((one.subject, asked.get(one.answer, 0)))
        if match is not None:
            yield one, match
