"""A request's way through the method, independent of the server: features, candidates, policy, prompt, answer.

Features come from Feast online; everything after them is ``models.personalize.personalize``, the function that
training used. Nothing here depends on BentoML, so ``pmlm ask`` runs the same code without an endpoint.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from pathlib import Path

from bentos import answering, release, responses
from bentos.api_types import AnswerResponse, Language, PersonalizeRequest, PersonalizeResponse
from bentos.deadline import Deadline
from bentos.interaction_log import Interaction, InteractionLog
from bentos.release import Release
from feature_repo import online, services
from models.encoder import Encoder, MiniLM
from models.llm import LLM, EmbeddedLLM, OpenAICompatible, token_counter
from models.personalize import Personalized, personalize
from models.refiner import artefact
from models.refiner.interface import Refiner
from models.row import text
from models.safety import check_answer
from models.schema import FeatureRow
from models.segments import drug_allergies
from pipelines.errors import ServingError, UnknownPatientError
from pipelines.settings import Settings

SUBJECT = re.compile(r"subject:(\d{1,19})")
SUBJECT_BITS = 63
UNKNOWN = "the clinic has no patient by this reference"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Personalizer:
    """Answers requests of one clinic from one release."""

    def __init__(self, settings: Settings, served: Release, refiner: Refiner, encoder: Encoder, llm: LLM) -> None:
        self.settings = settings
        self.release = served
        self._refiner = refiner
        self._encoder = encoder
        self._llm = llm
        self._count = token_counter(settings.embedded_llm)
        self._deadline = Deadline(settings.llm_timeout_s)
        self._log = InteractionLog(settings.workspace / "interactions")
        self._method = threading.Lock()  # the encoder's tokenizer must not be used by two threads at once

    @classmethod
    def open(cls, settings: Settings, folder: str | Path) -> Personalizer:
        """The release in ``folder`` with its encoder, refiner and the configured language model.

        :class:`ServingError` where there is none, or it was made for features that this code does not have.
        """
        served = release.read(Path(folder))
        if served.feature_schema != services.schema_hash():
            raise ServingError("the release was made for other features: run `pmlm package`")
        encoder = MiniLM()
        refiner = artefact.load(Path(folder) / release.REFINER, encoder)
        return cls(settings, served, refiner, encoder, language_model(settings))

    def personalize(self, request: PersonalizeRequest) -> PersonalizeResponse:
        """The refined prompt; :class:`UnknownPatientError` where the clinic does not know the patient."""
        subject, row, seconds = self._read(request)
        _, response = self._respond(request, row, seconds)
        self._record("personalize", subject, request, response, seconds)
        return response

    def answer(self, request: PersonalizeRequest) -> AnswerResponse:
        """The refined prompt and the checked answer to it; whatever the language model does, this does not raise."""
        subject, row, seconds = self._read(request)
        made, personalized = self._respond(request, row, seconds)
        asked = answering.ask(self._llm, self._deadline, made.prompt, request.question)
        asked.report.findings = list(check_answer(asked.text, drug_allergies(row), made.flags, made.language))
        seconds["llm"] = asked.report.seconds
        response = AnswerResponse(
            **dict(personalized),
            answer=answering.compose(asked, personalized.escalation, personalized.language),
            llm=asked.report,
            disclaimer=answering.disclaimer(asked.report, personalized.language),
            escalated=personalized.escalation is not None,
        )
        self._record("answer", subject, request, response, seconds)
        return response

    def _read(self, request: PersonalizeRequest) -> tuple[int, FeatureRow, dict[str, float]]:
        """The subject, her features online, and how long reading them took."""
        started = time.perf_counter()
        subject = subject_of(self.settings, request.patient)
        row = online.read(self.settings.feast, subject)
        if row is None:
            raise UnknownPatientError(UNKNOWN)
        return subject, row, {"features": _since(started)}

    def _respond(
        self, request: PersonalizeRequest, row: FeatureRow, seconds: dict[str, float]
    ) -> tuple[Personalized, PersonalizeResponse]:
        started = time.perf_counter()
        as_of = self.settings.now()
        with self._method:
            made = personalize(
                row, request.question, as_of, self._refiner, self._encoder, self._count, language_of(request, row)
            )
        seconds["method"] = _since(started)
        return made, responses.respond(uuid.uuid4().hex, made, row, self.release, as_of)

    def _record(
        self,
        endpoint: str,
        subject: int,
        request: PersonalizeRequest,
        response: PersonalizeResponse,
        seconds: dict[str, float],
    ) -> None:
        llm = response.llm if isinstance(response, AnswerResponse) else None
        self._log.append(
            Interaction(
                id=response.id,
                endpoint=endpoint,
                patient=self.settings.pseudonym("interaction", str(subject)),
                question=self.settings.pseudonym("question", request.question),
                language=response.language,
                candidates=len(response.segments),
                kept=[s.key for s in response.segments if s.kept],
                program=response.program,
                signs=[flag.sign for flag in response.red_flags],
                personalization=response.personalization,
                versions=response.versions,
                seconds=seconds,
                llm=llm.model if llm else None,
                llm_error=llm.error if llm else None,
                findings=llm.findings if llm else [],
            )
        )


def subject_of(settings: Settings, reference: str) -> int:
    """The subject id of ``subject:<number>`` or of a FHIR reference; no store is asked for an impossible one."""
    direct = SUBJECT.fullmatch(reference)
    subject = int(direct[1]) if direct else settings.subject_id(reference)
    if subject.bit_length() > SUBJECT_BITS:
        raise UnknownPatientError(UNKNOWN)
    return subject


def language_of(request: PersonalizeRequest, row: FeatureRow) -> Language:
    """The language asked for, else the question's own if it is Chinese, else the patient's, else English."""
    if request.language:
        return request.language
    return "zh" if CHINESE.search(request.question) or text(row, "language") == "zh" else "en"


def language_model(settings: Settings) -> LLM:
    """The configured language model, the embedded one where none is."""
    if not settings.llm_base_url:
        return EmbeddedLLM(threads=1)  # two threads that wait for each other on a busy machine are ten times slower
    # Our own deadline ends first, so that every silence is reported in the same words.
    patience = settings.llm_timeout_s + 5
    return OpenAICompatible(settings.llm_base_url, settings.llm_model, settings.llm_api_key, patience)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
