"""One patient's question, asked of the served endpoint: what the night's screen and a smoke test show.

Always the same for the same episodes: of the locked test split's questions, in order of their ids, the first that
raises no red flag and lost no name to de-identification; where there is none such, the first of all.
"""

from __future__ import annotations

from typing import Any

from pmlm.settings import Settings


def ask(settings: Settings, night: str) -> dict[str, Any] | None:
    """``{"question", "answer"}`` from the endpoint of this night's release, or None where no patient has asked."""
    from pipelines.packaging import serving

    chosen = choose(settings)
    if chosen is None:
        return None
    subject, question = chosen
    return {"question": question, "answer": serving.smoke(settings, night, f"subject:{subject}", question)}


def choose(settings: Settings) -> tuple[int, str] | None:
    """Subject id and question."""
    from models.safety.answer_check import red_flags
    from pipelines.episodes import episode_file

    candidates = sorted((e for e in episode_file.read(settings) if e.split == "test"), key=lambda e: e.episode_id)
    calm = [e for e in candidates if "[" not in e.question and not red_flags(e.question, "en")]
    chosen = next(iter(calm or candidates), None)
    return (chosen.subject_id, chosen.question) if chosen else None
