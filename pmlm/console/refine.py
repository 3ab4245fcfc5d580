"""``pmlm refine``: what the refiner did to one patient's initial prompt, choice by choice.

Each candidate has its rank in the initial prompt, its rank among the chosen, the policy's probability of choosing it
and, with ``--explain``, its gain: the change of the reward by leaving it out or adding it. The reward is that of the
given reply, else of the clinician's reply to the patient's most similar former question.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from bentos.auth.principal import LOCAL
from bentos.personalizer.personalizer import Personalizer
from bentos.personalizer.prepared_prompt import PreparedPrompt
from bentos.web.effects import measure_effects
from bentos.web.page_types import Effects
from models.encoder import MiniLM
from models.refiner.inference import ChoiceProbabilities
from pipelines.episodes.conversations import pair_exchanges
from pipelines.packaging import serving
from pipelines.records.log import event_log
from pmlm.api_types import Language
from pmlm.settings import Settings

MAX_SHOWN = 16
SAME_QUESTION = 0.6  # least cosine of a former question that counts as the same


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """A free candidate with ranks, probability and gain (nats per reply token; None: unknown)."""

    key: str
    text: str
    tokens: int
    initial_rank: int
    chosen_rank: int | None
    probability: float | None
    gain: float | None = None
    net: float | None = None


@dataclass(frozen=True, slots=True)
class Refinement:
    """Both prompts and every choice; ``reply_from`` names the reply that gains are measured on."""

    initial: str
    refined: str
    style: str
    refiner: str
    choices: tuple[PromptChoice, ...]
    reply_from: str

    def json(self) -> dict[str, object]:
        return asdict(self)


def explain_refinement(
    settings: Settings, patient: str, question: str, language: Language | None, explain: bool, reply: str | None
) -> Refinement:
    """The refinement of one question under the current release; raises as ``Personalizer.prepare`` does."""
    personalizer = Personalizer.open(settings, serving.current_release(settings))
    prepared = personalizer.prepare(LOCAL, patient, question, language)
    weights = personalizer.choice_probabilities(prepared)
    origin = "given" if reply else "none"
    if explain and not reply:
        reply, origin = _find_similar_reply(settings, prepared)
    measured = measure_effects(personalizer, prepared, reply) if explain and reply else None
    return Refinement(
        initial=prepared.personalized.initial,
        refined=prepared.personalized.prompt,
        style=prepared.personalized.style,
        refiner=personalizer.release.refiner,
        choices=_list_choices(prepared, weights, measured),
        reply_from=origin,
    )


def _find_similar_reply(settings: Settings, prepared: PreparedPrompt) -> tuple[str | None, str]:
    """The clinician's reply to the patient's most similar former question, if it is similar enough."""
    asked = [
        e for e in pair_exchanges(event_log.scan_events(settings), settings.now()) if e.subject_id == prepared.subject
    ]
    if not asked:
        return None, "none"
    vectors = MiniLM().encode([prepared.question, *(e.question for e in asked)])
    similarity = np.round(vectors[1:] @ vectors[0], 5)
    best = int(similarity.argmax())
    return (" ".join(asked[best].reply), "clinician") if similarity[best] >= SAME_QUESTION else (None, "none")


def _list_choices(
    prepared: PreparedPrompt, weights: ChoiceProbabilities | None, measured: Effects | None
) -> tuple[PromptChoice, ...]:
    personalized = prepared.personalized
    effect = {e.key: e for e in (*measured.kept, *measured.left_out)} if measured else {}
    return tuple(
        PromptChoice(
            key=s.key,
            text=s.text,
            tokens=s.tokens,
            initial_rank=rank,
            chosen_rank=personalized.kept.index(s.key) + 1 if s.key in personalized.kept else None,
            probability=weights.of_segment(s.key, personalized.program.picks) if weights else None,
            gain=effect[s.key].gain if s.key in effect else None,
            net=effect[s.key].net if s.key in effect else None,
        )
        for rank, s in enumerate((s for s in personalized.segments if not s.pinned), 1)
    )


def render_refinement(found: Refinement) -> RenderableType:
    """Both prompts side by side, then the choices: chosen ones first, then by probability."""
    prompts = Columns([Panel(Text(found.initial), title="initial"), Panel(Text(found.refined), title="refined")])
    headings = ("initial", "chosen", "tokens", "probability", "gain", "less its price")
    table = Table(Column("sentence", ratio=1), *(Column(name, justify="right", no_wrap=True) for name in headings))
    ordered = sorted(found.choices, key=lambda c: (c.chosen_rank or 99, -(c.probability or 0.0), c.initial_rank))
    shown = [c for c in ordered if c.chosen_rank or c.gain is not None] or ordered
    for c in shown[:MAX_SHOWN]:
        counts = (c.initial_rank, c.chosen_rank or "–", c.tokens)
        numbers = map(_format_number, (c.probability, c.gain, c.net))
        table.add_row(Text(c.text), *map(str, counts), *numbers, style="" if c.chosen_rank else "dim")
    rest = len(ordered) - len(shown[:MAX_SHOWN])
    more = (
        f"{rest} more candidates were not chosen, none with a higher probability (--json lists all)\n" if rest else ""
    )
    return Group(prompts, table, Text(more + _format_note(found), style="dim"))


def _format_note(found: Refinement) -> str:
    basis = {
        "given": "gains are nats per token of the given reply",
        "clinician": "gains are nats per token of the clinician's reply to the patient's most similar question",
        "none": "gains need a reply: give one with --reply",
    }
    return f"refiner {found.refiner}, style {found.style}; {basis[found.reply_from]}"


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}" if value < 0 else f"{value:.3f}"
