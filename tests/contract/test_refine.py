"""``pmlm refine``: what was kept, dropped and moved of one patient's prompt, and what each choice changes."""

from __future__ import annotations

import pytest

from pipelines.episodes.conversations import pair_exchanges
from pipelines.records.log import event_log
from pmlm.console import refine as refining
from pmlm.console.refine import Refinement
from pmlm.errors import UnknownPatientError
from tests.conftest import NightDone


@pytest.fixture(scope="module")
def found(night_done: NightDone) -> Refinement:
    """Her own former question asked again, so that the clinician's reply to it is known."""
    settings = night_done.settings
    asked = next(e for e in pair_exchanges(event_log.scan_events(settings), settings.now()) if "?" in e.question)
    return refining.explain_refinement(settings, f"subject:{asked.subject_id}", asked.question, None, True, None)


def test_every_free_candidate_is_told_once_with_its_rank(found: Refinement) -> None:
    assert [c.initial_rank for c in found.choices] == list(range(1, len(found.choices) + 1))
    assert len({c.key for c in found.choices}) == len(found.choices)
    chosen = sorted(c.chosen_rank for c in found.choices if c.chosen_rank)
    assert chosen == list(range(1, len(chosen) + 1))
    for choice in found.choices:
        assert choice.text in found.initial
        assert (choice.text in found.refined) == (choice.chosen_rank is not None)


def test_gains_are_measured_on_the_clinicians_reply_to_her_like_question(found: Refinement) -> None:
    assert found.reply_from == "clinician"
    assert all(c.gain is not None for c in found.choices if c.chosen_rank)
    for choice in found.choices:
        if choice.gain is not None and choice.net is not None:
            assert choice.net <= choice.gain


def test_a_question_like_none_of_hers_has_no_gains_and_an_unknown_patient_is_told(night_done: NightDone) -> None:
    settings = night_done.settings
    subject = next(iter(pair_exchanges(event_log.scan_events(settings), settings.now()))).subject_id
    odd = refining.explain_refinement(
        settings, f"subject:{subject}", "Which bus goes to the harbour on Sundays?", None, True, None
    )
    assert odd.reply_from == "none"
    assert all(c.gain is None for c in odd.choices)
    with pytest.raises(UnknownPatientError):
        refining.explain_refinement(settings, "Patient/nobody", "Why am I tired?", None, False, None)
