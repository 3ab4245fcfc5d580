"""Restate a prompt's facts to the patient, where no language model is configured.

    y = opening · say(a_1) … say(a_k) · say(pregnancy) · say(allergies) · closing

a_1 … a_k are the policy's picks in its order of choice; say(s) is the sentence of the same template key and the same
values in the second person (``template_files/<language>/v2.you.yaml``). Nothing is generated and nothing advised, so
the same record and question give the same words. The paper always has an LLM; this is ours, for a clinic without one.

Stated are facts of the record alone: pinned ones, values, changes, visits. Estimates from other patients, forecasts
and preferences serve a language model that weighs them, and are not stated to a patient. A sentence that the safety
check objects to (a medicine on the list that pregnancy speaks against) is left out, and the answer says that it is not
complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.schema import Segment
from models.templates import render_sentence, sanitize_line, speak_to_patient

#: Pinned facts in the order in which they are stated; the safety rules are no fact.
PINNED = ("pregnancy", "allergies")
KINDS = frozenset({"pinned", "record", "change", "behaviour"})
#: Before each fact, and before the closing.
ITEM, PARAGRAPH = "\n- ", "\n\n"


def restate_facts(
    spoken: Sequence[Segment], picks: Sequence[str], language: str, passes: Callable[[str], bool]
) -> tuple[str, ...]:
    """The answer in pieces to be joined as they are, a sentence each.

    ``spoken`` are the candidates in the language of ``speak_to_patient``, ``picks`` the free keys of the prompt in the
    policy's order; ``passes`` says whether a sentence may be shown.
    """
    facts = {s.key: sanitize_line(s.text) for s in spoken if s.kind in KINDS}
    chosen = [facts[key] for key in dict.fromkeys(picks) if key in facts]
    pinned = [facts[key] for key in PINNED if key in facts]
    shown = [sentence for sentence in (*chosen, *pinned) if passes(sentence)]
    opening = "opening" if any(sentence in shown for sentence in chosen) else "opening_pinned"
    omitted = [] if len(shown) == len(chosen) + len(pinned) else [_word("omitted", language)]
    facts_shown = (ITEM + sentence for sentence in (*shown, *omitted))
    return (_word(opening, language), *facts_shown, PARAGRAPH + _word("closing", language))


def restate_nothing(language: str) -> tuple[str, ...]:
    """The answer where no fact of a record may be used."""
    return _word("nothing", language), PARAGRAPH + _word("closing", language)


def _word(name: str, language: str) -> str:
    return render_sentence(f"restatement.{name}", speak_to_patient(language))
