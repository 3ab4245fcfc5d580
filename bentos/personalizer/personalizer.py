"""From a question to a personalised answer: features, candidates, policy, prompt, language model.

Features come from Feast online; everything after them is ``models.prompt.personalize.personalize``, the function that
training used. Nothing here depends on BentoML, so ``pmlm ask`` runs the same code without an endpoint. Every surface of
the endpoint calls :meth:`Personalizer.prepare` with the principal, and :meth:`Personalizer.record` with its answer.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from bentos.auth.principal import UNKNOWN, Principal
from bentos.llm.llm_client import LLMClient
from bentos.personalizer import llm_answer, message_flags, responses
from bentos.personalizer.beside.other_releases import OtherReleases, is_of_canary
from bentos.personalizer.candidate_cache import CandidateCache
from bentos.personalizer.explanations import Explanations
from bentos.personalizer.feedback_store import FeedbackStore
from bentos.personalizer.interaction_log import describe_interaction, observe_interaction
from bentos.personalizer.llm_answer import LLMAnswer
from bentos.personalizer.patient import patient_events
from bentos.personalizer.patient.feature_client import FeatureClient
from bentos.personalizer.prepared_prompt import PreparedPrompt, language_of
from bentos.personalizer.recorder import Recorder
from bentos.personalizer.release import Release
from bentos.personalizer.release_parts import ReleaseParts, load_parts
from bentos.personalizer.second_reader import SecondReader
from bentos.telemetry.token_counts import count_usage
from feature_repo.store.rows import cast_row
from models.drafts.catalogue import DraftCatalogue
from models.encoder import MiniLM
from models.fact_disputes import is_disputed
from models.feature_row import read_texts
from models.llm import make_token_counter
from models.patient.critical_values import has_critical_value
from models.prompt.personalize import Personalized, personalize, personalize_pinned_only
from models.prompt.ranking import Ranker
from models.prompt.sentences.pinned import list_drug_allergies
from models.refiner.inference import ChoiceProbabilities, compute_choice_probabilities
from models.refiner.interface import Refiner
from models.safety.answer_check import RecordedRisks, check_answer
from models.safety.answer_language import load_identifier
from models.safety.escalation import is_emergency
from models.safety.triage.red_flag_table import Flag
from models.schema import FeatureRow
from pmlm.api_types import AnswerResponse, Language, PersonalizeRequest, PersonalizeResponse
from pmlm.errors import FeaturesUnavailableError, UnknownPatientError
from pmlm.settings import Settings

R = TypeVar("R", bound=PersonalizeResponse)
#: What the safety check objects to in a text; nothing where it may be shown.
AnswerCheck = Callable[[str], tuple[str, ...]]


class Personalizer:
    """Answers requests of one clinic from one release."""

    def __init__(self, settings: Settings, served: Release, refiner: Refiner, encoder: MiniLM, llm: LLMClient) -> None:
        self.settings = settings
        self.others: OtherReleases[Personalizer] = OtherReleases()
        self.catalogue: DraftCatalogue | None = None
        self.release = served
        self.llm = llm
        self.second_reader = SecondReader(settings)
        self.explanations = Explanations(settings)
        self.recorder = Recorder(settings, self.explanations)
        self.feedback = FeedbackStore(settings)
        self.features = FeatureClient(settings.feast, settings.llm_timeout_s)
        self._ranker: Ranker | None = None
        self._refiner, self.encoder = refiner, encoder
        self._count = make_token_counter(settings.embedded_llm)
        self.candidates = CandidateCache(settings.currency_rule)
        self._encoding = ThreadPoolExecutor(1, "pmlm-ahead")
        self._weighing = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, folder: str | Path) -> Personalizer:
        """Load a release; raises as :func:`load_parts` does."""
        encoder = MiniLM()
        parts = load_parts(settings, Path(folder), encoder)
        load_identifier()  # half a second that no first answer should wait for
        return cls(settings, parts.served, parts.refiner, encoder, LLMClient(settings))._take(parts)

    def open_next(self, folder: Path) -> Personalizer:
        """The same of another release, sharing what depends on none; raises as :func:`load_parts` does."""
        return copy(self)._take(load_parts(self.settings, folder, self.encoder))

    def _take(self, parts: ReleaseParts) -> Personalizer:
        self.release, self._refiner, self._ranker = parts.served, parts.refiner, parts.ranker
        self.candidates, self.catalogue = parts.candidates, parts.catalogue
        self._weighing = threading.Lock()  # computing choice probabilities swaps the policy's table
        return self

    def close(self) -> None:
        """End the connections to language models that blocking calls have opened."""
        self.llm.close_blocking()
        self.second_reader.close()
        self.others.close()

    def of_patient(self, subject: int) -> Personalizer:
        """The personalizer that serves a patient: the canary's for its share of patients, else this one."""
        canary = self.others.canary
        return canary if canary is not None and is_of_canary(self.settings, subject) else self

    def prepare(
        self, principal: Principal, reference: str, question: str, language: Language | None = None
    ) -> PreparedPrompt:
        """Everything up to the prompt; from pinned facts alone while the store is down.

        Raises :class:`ForeignPatientError` for a patient that the principal is not bound to, and
        :class:`UnknownPatientError` where the clinic does not know the patient.
        """
        until = time.monotonic() + self.settings.llm_timeout_s
        started = time.perf_counter()
        subject, row, degraded = self._read_or_fall_back(principal, reference)
        seconds = {"features": _seconds_since(started)}
        started = time.perf_counter()
        as_of = self.settings.now()
        written_in = language or language_of(question, row)
        serving = self.of_patient(subject)
        if degraded:
            personalized = personalize_pinned_only(row, question, as_of, self.encoder, self._count, written_in)
        else:
            personalized = serving._personalize(row, question, as_of, written_in, subject)
        seconds["method"] = _seconds_since(started)
        response = responses.build_response(
            uuid.uuid4().hex, personalized, row, serving.release, as_of, degraded, self.settings.crisis_country
        )
        made = PreparedPrompt(response.id, principal, subject, row, question, personalized, response, until, seconds)
        shadow = self.others.shadow
        if not degraded and shadow is not None and shadow.release.id != serving.release.id:
            self.others.try_shadow(personalized.kept, lambda: shadow.choose(made).kept)
        self.encoder.forget(question)
        return made

    def _personalize(
        self, row: FeatureRow, question: str, as_of: datetime, language: Language, subject: int
    ) -> Personalized:
        offered = self.candidates.of
        return personalize(
            row, question, as_of, self._refiner, self.encoder, self._count, language, offered, self._ranker, subject
        )

    def choose(self, prepared: PreparedPrompt) -> Personalized:
        """What this release chooses for the record and question of a prompt that another has made."""
        language = prepared.response.language
        chosen = self._personalize(prepared.row, prepared.question, prepared.as_of, language, prepared.subject)
        self.encoder.forget(prepared.question)
        return chosen

    def prepare_request(self, principal: Principal, request: PersonalizeRequest) -> PreparedPrompt:
        """:meth:`prepare` for a patient's own words, which a second reader reads too where there is one.

        Another thread encodes the question meanwhile, outside Python's lock.
        """
        reading = self.second_reader.start([request.question], self.release.id)
        encoded = self._encoding.submit(self.encode_ahead, [request.question])
        try:
            prepared = self.prepare(principal, request.patient, request.question, request.language)
            return prepared if is_emergency(prepared.personalized.flags) else self.add_flags(prepared, reading.result())
        finally:
            reading.cancel()
            encoded.add_done_callback(lambda _: self.forget_question(request.question))

    def encode_ahead(self, questions: list[str]) -> None:
        """Encode questions, several in one pass, before each is prepared; no result depends on it."""
        self.encoder.encode(questions)

    def forget_question(self, question: str) -> None:
        """Drop an encoded question."""
        self.encoder.forget(question)

    def read_patient(self, principal: Principal, reference: str) -> tuple[int, FeatureRow]:
        """A patient's subject id and online features.

        Raises as :meth:`prepare` does, and :class:`FeaturesUnavailableError`. The row is empty, and they get what
        holds for anyone, where their records have arrived and no night has computed their features yet.
        """
        subject = principal.subject(self.settings, reference)
        row = self.features.read(subject)
        if row is None:
            if not patient_events.has_events(self.settings.events, subject):
                raise UnknownPatientError(UNKNOWN)
            row = cast_row({})
        return subject, row

    def _read_or_fall_back(self, principal: Principal, reference: str) -> tuple[int, FeatureRow, bool]:
        """Subject, features, and whether they are pinned facts alone because the store cannot be read."""
        try:
            return (*self.read_patient(principal, reference), False)
        except FeaturesUnavailableError:
            # with DuckDB and Ibis, which nothing else here needs
            from bentos.personalizer.patient.fallback_features import read_pinned_row

            subject = principal.subject(self.settings, reference)
            row = read_pinned_row(self.settings.events, subject, self.settings.now())
            if row is None:
                raise UnknownPatientError(UNKNOWN) from None
            return subject, row, True

    def add_flags(self, prepared: PreparedPrompt, found: Sequence[Flag]) -> PreparedPrompt:
        """The prepared prompt with these red flags besides its own."""
        return message_flags.add_flags(prepared, found, self.settings.crisis_country)

    def flag_parts(self, prepared: PreparedPrompt, parts: Sequence[str]) -> PreparedPrompt:
        """The prepared prompt with the red flags of every part that the question came in."""
        return self.add_flags(prepared, message_flags.find_flags_of_parts(prepared, parts, self.encoder))

    def find_earlier_flags(self, prepared: PreparedPrompt, earlier: Sequence[str]) -> tuple[Flag, ...]:
        """The red flags of the newest earlier message that has any; none where the question itself has some."""
        return message_flags.find_earlier_flags(prepared, earlier, self.encoder)

    def make_check(self, prepared: PreparedPrompt, earlier_flags: tuple[Flag, ...] = ()) -> AnswerCheck:
        """The safety check of an answer, against allergies, pregnancy and red flags."""
        flags = prepared.personalized.flags or earlier_flags
        row, language = prepared.row, prepared.personalized.language
        allergies, context = list_drug_allergies(row), prepared.personalized.context
        medicines = tuple(text for text in read_texts(row, "medicine_texts") if not is_disputed(text))
        risks = RecordedRisks(medicines, has_critical_value(row, prepared.as_of))
        return lambda text: check_answer(text, allergies, flags, language, context, risks)

    def record(self, prepared: PreparedPrompt, endpoint: str, response: R, *, safety: bool = False) -> R:
        """Record an answer; what of it may be sent.

        :class:`RecordUnavailableError` where it cannot be recorded and is no safety message (``Recorder.record``).
        """
        interaction = describe_interaction(self.settings, prepared, endpoint, response)
        recorded = self.recorder.record(prepared.subject, interaction, response, safety=safety)
        self._observe(prepared, endpoint, recorded)
        return recorded

    async def record_async(self, prepared: PreparedPrompt, endpoint: str, response: R) -> R:
        """:meth:`record` for a caller on the event loop."""
        interaction = describe_interaction(self.settings, prepared, endpoint, response)
        recorded = await self.recorder.record_async(prepared.subject, interaction, response)
        self._observe(prepared, endpoint, recorded)
        return recorded

    def _observe(self, prepared: PreparedPrompt, endpoint: str, response: PersonalizeResponse) -> None:
        llm = response.llm if isinstance(response, AnswerResponse) else None
        flags, base_url = prepared.personalized.flags, self.settings.llm_base_url
        observe_interaction(endpoint, response, flags, prepared.seconds, llm, base_url)

    def personalize(self, principal: Principal, request: PersonalizeRequest) -> PersonalizeResponse:
        """The refined prompt; raises as :meth:`prepare` does."""
        prepared = self.prepare_request(principal, request)
        return self.record(prepared, "personalize", prepared.response)

    def answer(self, principal: Principal, request: PersonalizeRequest) -> AnswerResponse:
        """The refined prompt and the checked answer to it.

        Raises as :meth:`prepare` does, whatever the language model does.
        """
        prepared = self.prepare_request(principal, request)
        answer = self.ask_llm(prepared, prepared.personalized.prompt, prepared.personalized.kept)
        prepared.seconds["llm"] = answer.report.seconds
        return self.record(prepared, "answer", llm_answer.build_response(prepared.response, answer))

    def ask_llm(self, prepared: PreparedPrompt, prompt: str, picks: Sequence[str] | None) -> LLMAnswer:
        """The checked answer to ``prompt`` with free facts ``picks`` (None: nothing of the record); never raises."""
        if is_emergency(prepared.personalized.flags):
            return llm_answer.leave_unasked(self.llm)
        restate = partial(self.restate, prepared, picks)
        answer = llm_answer.ask_llm(self.llm, prompt, prepared.question, prepared.until, restate)
        if answer.report.asked and (answer.usage or answer.report.error is None):
            count_usage(self.settings, self.release.id, answer.report.model, answer.usage)
        answer.report.findings = list(self.make_check(prepared)(answer.text))
        return answer

    def restate(self, prepared: PreparedPrompt, picks: Sequence[str] | None) -> tuple[str, ...]:
        """The embedded answer: these facts and the pinned ones restated (None: nothing of the record), in pieces."""
        serving = self.of_patient(prepared.subject)
        return llm_answer.restate_prompt(serving.candidates, prepared, picks, self.make_check(prepared))

    def choice_probabilities(self, prepared: PreparedPrompt) -> ChoiceProbabilities | None:
        """How the policy weighed its choices; None for a release that chooses by a rule."""
        serving, made = self.of_patient(prepared.subject), prepared.personalized
        with serving._weighing:
            return compute_choice_probabilities(serving._refiner, prepared.question, made.segments, made.program)


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
