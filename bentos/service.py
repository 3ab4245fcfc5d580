"""The endpoint: ``POST /personalize``, ``POST /answer``, and the apps of ``bentos.http.mounts``.

Every request passes the middlewares of ``MIDDLEWARES``, in this order.

Only the shape of the API is needed to build a bento, so the models load when a worker starts, not at import.
A bento is built with its release's version as an argument and starts with that release; while it runs it goes on to
the clinic's current one (``personalizer.switching``). Run from the source tree, the newest release in the store is
served.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from http import HTTPStatus
from typing import Any, cast

import bentoml
from pydantic import BaseModel

from bentos.auth.principal import Principal
from bentos.cds.app import CdsCorsMiddleware
from bentos.http import header_timeout, mounts
from bentos.http.access_middleware import AccessMiddleware
from bentos.http.app import NativeRoutesMiddleware
from bentos.http.uncaught_errors import UncaughtErrorMiddleware
from bentos.openai.admission import LoadSheddingMiddleware
from bentos.openai.app import close_gateway, find_refusal
from bentos.personalizer import current
from bentos.personalizer.release import BENTO_NAME, MODEL_NAME
from bentos.problems import error_handlers
from bentos.problems.problem_details import ProblemMiddleware
from bentos.telemetry import logs, metrics, tracing
from bentos.telemetry.middleware import TelemetryMiddleware
from pmlm.api_types import AnswerResponse, PersonalizeRequest, PersonalizeResponse
from pmlm.errors import PmlmError
from pmlm.served_releases import note_served
from pmlm.settings import load_settings
from pmlm.storage import set_private_umask
from pmlm.worker_count import count_workers


class BentoArguments(BaseModel):
    """Arguments of a bento's build."""

    release: str = "latest"


SERVED = bentoml.use_arguments(BentoArguments)
#: How long a thread that makes prompts may keep the event loop from running; Python's own 5 ms are felt in each hop.
SWITCH_S = 0.001
#: Objects, and younger collections, before a garbage collection: by Python's own 700 a fifth of a chat's time is spent
#: walking a million objects that live as long as the process.
COLLECT_AFTER = (20_000, 20, 50)


@bentoml.service(
    name=BENTO_NAME,
    workers=count_workers(load_settings()),
    threads=16,
    traffic={"timeout": 600},  # far above our own deadline, which is the one that holds
    # BentoML's own access log and metrics hold the path as it was asked, and one of ours has a patient in it
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": [".*"]},  # its spans go nowhere and cost as much as a check of the token; ours are ours
)
class PMLM:
    """Personalised hard prompts, and answers from any language model that is given one."""

    release = bentoml.models.BentoModel(f"{MODEL_NAME}:{SERVED.release}")

    def __init__(self) -> None:
        import torch

        from bentos.personalizer.personalizer import Personalizer
        from bentos.personalizer.switching.open_others import open_other_releases
        from bentos.personalizer.switching.release_switch import ReleaseSwitch

        torch.set_num_threads(1)  # requests run in parallel; a model this small gains nothing from more
        sys.setswitchinterval(SWITCH_S)
        set_private_umask()
        settings = load_settings()
        personalizer = Personalizer.open(settings, self.release.path_of("."))
        personalizer.others = open_other_releases(settings, personalizer)
        self.served = current.set_newest(personalizer)
        self.switch = ReleaseSwitch(settings, self.served)
        note_served(settings, self.served.personalizer.release.id)
        metrics.forget_dead_workers()
        tracing.start_exporting()
        _spare_the_collector()
        logs.configure()  # last: a failed start is logged in full

    @bentoml.on_shutdown
    async def close(self) -> None:
        """End the threads that prepare prompts, and the connections to language models."""
        self.switch.close()
        personalizer = self.served.personalizer
        close_gateway(personalizer)
        await personalizer.llm.close()
        personalizer.others.close()
        await asyncio.to_thread(personalizer.second_reader.close)

    @bentoml.api(route="/personalize")
    def personalize(self, request: PersonalizeRequest, /, ctx: bentoml.Context) -> PersonalizeResponse:
        """The refined hard prompt for this patient and question, with the provenance of each sentence."""
        try:
            return self.served.personalizer.personalize(_principal(ctx), request)
        except PmlmError as error:
            raise _to_bentoml(ctx, error) from None

    @bentoml.api(route="/answer")
    def answer(self, request: PersonalizeRequest, /, ctx: bentoml.Context) -> AnswerResponse:
        """The same with an answer; 503 if the language model failed without a red flag."""
        try:
            response = self.served.personalizer.answer(_principal(ctx), request)
        except PmlmError as error:
            raise _to_bentoml(ctx, error) from None
        if response.llm.error and not response.escalated:
            ctx.response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return response


def _spare_the_collector() -> None:
    """Exempt what was loaded from garbage collection, and collect young objects less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _principal(ctx: bentoml.Context) -> Principal:
    """The request's principal: the access middleware sets it on every request that arrives here."""
    principal: Principal = ctx.request.state.principal
    return principal


def _to_bentoml(ctx: bentoml.Context, error: PmlmError) -> bentoml.exceptions.BentoMLException:
    """An error that BentoML understands; what we answer for it is put into the request."""
    problem, headers = error_handlers.problem_of(error)
    ctx.request.state.refusal = (problem, headers)
    return bentoml.exceptions.BentoMLException(problem.detail, error_code=HTTPStatus(problem.status))


#: Outermost first, with options.
MIDDLEWARES: tuple[tuple[type, dict[str, Any]], ...] = (
    (UncaughtErrorMiddleware, {}),
    (LoadSheddingMiddleware, {"find_refusal": find_refusal}),  # turns a chat away before anything else is done for it
    (TelemetryMiddleware, {}),
    (CdsCorsMiddleware, {}),  # before access: a preflight carries no token
    (AccessMiddleware, {}),  # sets the principal
    (ProblemMiddleware, {}),  # limits bodies by the route's rule, which access has found
    (NativeRoutesMiddleware, {}),
)

header_timeout.install()
# What the decorator makes of the class is a Service; a type checker sees the class still.
_service = cast("Any", PMLM)
for _middleware, _options in MIDDLEWARES:
    _service.add_asgi_middleware(_middleware, **_options)
for _path, _app in mounts.list_apps():
    _service.mount_asgi_app(_app, path=_path)
