"""A request's way through the method, independent of the server: features, candidates, policy, prompt, answer.

Features come from Feast online; everything after them is ``models.prompt.personalize.personalize``, the function that
training used. Nothing here depends on BentoML, so ``pmlm ask`` runs the same code without an endpoint. Every surface of
the endpoint calls :meth:`Personalizer.prepare` with who asks, and :meth:`Personalizer.record` with what was answered.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bentos.auth.principal import UNKNOWN, Principal
from bentos.personalizer import llm_answer, patient_events, release, responses
from bentos.personalizer.candidate_cache import Offers
from bentos.personalizer.explanations import Explanations
from bentos.personalizer.feature_client import OnlineRows
from bentos.personalizer.feedback_store import FeedbackStore
from bentos.personalizer.interaction_log import Interaction, InteractionLog
from bentos.personalizer.llm_answer import Asked
from bentos.personalizer.release import Release
from bentos.telemetry import interactions
from feature_repo.store import services
from feature_repo.store.deadline import Deadline
from feature_repo.store.rows import typed
from models.encoder import MiniLM
from models.feature_row import text
from models.llm import LLM, EmbeddedLLM, OpenAICompatible, token_counter
from models.prompt.candidates import drug_allergies
from models.prompt.personalize import Personalized, personalize, pinned_only
from models.refiner import checkpoint
from models.refiner.inference import ChoiceProbabilities, compute_choice_probabilities
from models.refiner.interface import Refiner
from models.safety.answer_check import Flag, check_answer, context_of, red_flags
from models.schema import FeatureRow
from pmlm.api_types import AnswerResponse, Language, PersonalizeRequest, PersonalizeResponse
from pmlm.errors import FeaturesUnavailableError, ServingError, UnknownPatientError
from pmlm.settings import Settings

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question made ready for a language model.

    ``subject`` and ``row`` are whose question it is and what is known of her, ``made`` what the method decided,
    ``response`` the same as the endpoint tells it; ``seconds`` are the parts of the latency by name, to be added to.
    """

    id: str
    principal: Principal
    subject: int
    row: FeatureRow
    question: str
    made: Personalized
    response: PersonalizeResponse
    seconds: dict[str, float]


class Personalizer:
    """Answers requests of one clinic from one release."""

    def __init__(self, settings: Settings, served: Release, refiner: Refiner, encoder: MiniLM, llm: LLM) -> None:
        self.settings = settings
        self.release = served
        self.llm = llm
        self.explanations = Explanations(settings)
        self.feedback = FeedbackStore(settings)
        self.rows = OnlineRows(settings.feast, settings.llm_timeout_s)
        self._refiner = refiner
        self._encoder = encoder
        self._count = token_counter(settings.embedded_llm)
        self._deadline = Deadline(settings.llm_timeout_s)
        self._log = InteractionLog(settings.workspace / "interactions")
        self._offers = Offers()
        self._ahead = ThreadPoolExecutor(1, "pmlm-ahead")
        self._weighing = threading.Lock()  # weighing swaps the policy's table

    @classmethod
    def open(cls, settings: Settings, folder: str | Path) -> Personalizer:
        """The release in ``folder`` with its encoder, refiner and the configured language model.

        :class:`ServingError` where there is none, or it was made for features that this code does not have.
        """
        served = release.read(Path(folder))
        if served.feature_schema != services.schema_hash():
            raise ServingError("the release was made for other features: run `pmlm package`")
        encoder = MiniLM()
        refiner = checkpoint.load_refiner(Path(folder) / release.REFINER, encoder)
        return cls(settings, served, refiner, encoder, language_model(settings))

    def prepare(
        self, principal: Principal, reference: str, question: str, language: Language | None = None
    ) -> Prepared:
        """Everything up to the prompt; without a feature store that can be read, from her pinned facts alone.

        Raises :class:`ForeignPatientError` for a patient that the principal is not bound to, and
        :class:`UnknownPatientError` where the clinic does not know her.
        """
        started = time.perf_counter()
        subject, row, degraded = self._read(principal, reference)
        seconds = {"features": _since(started)}
        started = time.perf_counter()
        as_of = self.settings.now()
        spoken = language or language_of(question, row)
        if degraded:
            made = pinned_only(row, question, as_of, self._encoder, self._count, spoken)
        else:
            offered = self._offers.of
            made = personalize(row, question, as_of, self._refiner, self._encoder, self._count, spoken, offered)
        self._encoder.forget(question)
        seconds["method"] = _since(started)
        response = responses.respond(uuid.uuid4().hex, made, row, self.release, as_of, degraded)
        return Prepared(response.id, principal, subject, row, question, made, response, seconds)

    def _prepare_alone(self, principal: Principal, request: PersonalizeRequest) -> Prepared:
        """``prepare`` with the question read into a vector beside it, which is outside of Python's lock."""
        ahead = self._ahead.submit(self.foresee, [request.question])
        try:
            return self.prepare(principal, request.patient, request.question, request.language)
        finally:
            ahead.add_done_callback(lambda _: self.forget(request.question))

    def foresee(self, questions: list[str]) -> None:
        """Read questions into vectors, several in one pass, before each is prepared; no result depends on it."""
        self._encoder.encode(questions)

    def forget(self, question: str) -> None:
        """Keep nothing of a question that was read into a vector."""
        self._encoder.forget(question)

    def row(self, principal: Principal, reference: str) -> tuple[int, FeatureRow]:
        """A patient and her features online; raises as :meth:`prepare` does, and :class:`FeaturesUnavailableError`.

        Of a patient whose records have arrived but whose features no night has computed yet nothing is known: her row
        is empty, and she gets what holds for anyone.
        """
        subject = principal.subject(self.settings, reference)
        row = self.rows.read(subject)
        if row is None:
            if not patient_events.holds(self.settings.events, subject):
                raise UnknownPatientError(UNKNOWN)
            row = typed({})
        return subject, row

    def _read(self, principal: Principal, reference: str) -> tuple[int, FeatureRow, bool]:
        """A patient, her features, and whether they are her pinned facts alone because the store cannot be read."""
        try:
            return (*self.row(principal, reference), False)
        except FeaturesUnavailableError:
            from bentos.personalizer.fallback_features import (
                pinned_row,  # DuckDB and Ibis: nothing else here needs them
            )

            subject = principal.subject(self.settings, reference)
            row = pinned_row(self.settings.events, subject, self.settings.now())
            if row is None:
                raise UnknownPatientError(UNKNOWN) from None
            return subject, row, True

    def flags_before(self, prepared: Prepared, earlier: Sequence[str]) -> tuple[Flag, ...]:
        """The red flags of the newest of her earlier messages that has any, which no answer may talk down either.

        Rules and classifier, as for the question itself; not asked for beside flags of the question.
        """
        if prepared.made.flags or not earlier:
            return ()
        context = context_of(prepared.row, datetime.fromisoformat(prepared.response.versions.as_of))
        self._encoder.encode(earlier)  # one pass for all; each is then only looked up
        found = (red_flags(words, prepared.made.language, context, self._encoder) for words in earlier)
        flags = next((flags for flags in found if flags), ())
        for words in earlier:
            self._encoder.forget(words)
        return flags

    def record(self, prepared: Prepared, endpoint: str, response: PersonalizeResponse) -> None:
        """Note what was answered: in the interaction log without any text, and, for ``/explain``, how it came about."""
        llm = response.llm if isinstance(response, AnswerResponse) else None
        self.explanations.keep(prepared.subject, endpoint, response)
        self._log.append(
            Interaction(
                id=response.id,
                endpoint=endpoint,
                patient=self.settings.pseudonym("interaction", str(prepared.subject)),
                question=self.settings.pseudonym("question", prepared.question),
                language=response.language,
                candidates=len(response.segments),
                kept=[s.key for s in response.segments if s.kept],
                program=response.program,
                signs=[flag.sign for flag in response.red_flags],
                personalization=response.personalization,
                degraded=response.degraded,
                versions=response.versions,
                seconds=prepared.seconds,
                llm=llm.model if llm else None,
                llm_error=llm.error if llm else None,
                findings=llm.findings if llm else [],
                words=len(response.answer.split()) if isinstance(response, AnswerResponse) else None,
            )
        )
        base_url = self.settings.llm_base_url
        interactions.note(endpoint, response, prepared.made.flags, prepared.seconds, llm, base_url)

    def personalize(self, principal: Principal, request: PersonalizeRequest) -> PersonalizeResponse:
        """The refined prompt; raises as :meth:`prepare` does."""
        prepared = self._prepare_alone(principal, request)
        self.record(prepared, "personalize", prepared.response)
        return prepared.response

    def answer(self, principal: Principal, request: PersonalizeRequest) -> AnswerResponse:
        """The refined prompt and the checked answer to it; raises as :meth:`prepare` does, whatever the language model
        does.
        """
        prepared = self._prepare_alone(principal, request)
        personalized = prepared.response
        asked = self.asked(prepared, prepared.made.prompt)
        prepared.seconds["llm"] = asked.report.seconds
        response = AnswerResponse(
            **dict(personalized),
            answer=llm_answer.compose(asked, personalized.escalation, personalized.language),
            llm=asked.report,
            disclaimer=llm_answer.disclaimer(asked.report, personalized.language),
            escalated=personalized.escalation is not None,
        )
        self.record(prepared, "answer", response)
        return response

    def asked(self, prepared: Prepared, prompt: str) -> Asked:
        """What the language model says to ``prompt`` and her question, checked against her record; never raises."""
        made = prepared.made
        said = llm_answer.ask(self.llm, self._deadline, prompt, prepared.question)
        known = context_of(prepared.row, self.settings.now())
        allergies = drug_allergies(prepared.row)
        said.report.findings = list(check_answer(said.text, allergies, made.flags, made.language, known))
        return said

    def weights(self, prepared: Prepared) -> ChoiceProbabilities | None:
        """How the policy weighed its choices; None for a release that chooses by a rule."""
        with self._weighing:
            return compute_choice_probabilities(
                self._refiner, prepared.question, prepared.made.segments, prepared.made.program
            )


def language_of(question: str, row: FeatureRow) -> Language:
    """The question's own language if it is Chinese, else the patient's, else English."""
    return "zh" if CHINESE.search(question) or text(row, "language") == "zh" else "en"


def language_model(settings: Settings) -> LLM:
    """The configured language model, the embedded one where none is."""
    if not settings.llm_base_url:
        return EmbeddedLLM(threads=1)  # two threads that wait for each other on a busy machine are ten times slower
    # Our own deadline ends first, so that every silence is reported in the same words.
    patience = settings.llm_timeout_s + 5
    return OpenAICompatible(settings.llm_base_url, settings.llm_model, settings.llm_api_key, patience)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
