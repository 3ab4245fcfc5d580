"""From one patient's record to cards: values beyond a limit, what matters most of her record, what speaks against an
order. No language model is asked: a card says what the record says, within the half second a client waits."""

from __future__ import annotations

from uuid import UUID, uuid4

from bentos.auth.principal import Principal
from bentos.cds import card_texts
from bentos.cds.card_texts import said
from bentos.cds.cds_types import Action, Card, HookRequest, Suggestion
from bentos.cds.critical_values import Finding, findings
from bentos.cds.orders import Alert, Order, alerts, drafted
from bentos.personalizer.personalizer import Personalizer, Prepared
from pmlm.api_types import Language, PersonalizeResponse
from pmlm.errors import FeaturesUnavailableError

MOST_DRUGS = 3
TOLD = 8
VIEW_REASONS = ("acted-on", "known", "not-relevant", "wrong")
ORDER_REASONS = ("benefit", "known", "not-relevant", "wrong")


def patient_view(
    personalizer: Personalizer, principal: Principal, request: HookRequest, language: Language
) -> list[Card]:
    """A card for each recorded value beyond a limit, then one that answers the default question; none of a patient of
    whom nothing is recorded. Raises as :meth:`Personalizer.prepare` does."""
    question = card_texts.QUESTION[language]
    prepared = personalizer.prepare(principal, request.context.patientId, question, language)
    if prepared.response.degraded:  # an empty list would say that no value is beyond a limit
        raise FeaturesUnavailableError("the clinic's features cannot be read at the moment")
    if prepared.response.personalization == "none":
        return []
    personalizer.record(prepared, "cds/patient-view", prepared.response)
    found = findings(prepared.row, personalizer.settings.now(), language)
    beyond = [_finding(personalizer, prepared, one, language) for one in found]
    return [*beyond, _answer(prepared.response, question, language)]


def order(personalizer: Personalizer, principal: Principal, request: HookRequest, language: Language) -> list[Card]:
    """A card for each recorded fact that speaks against a drafted order; none where nothing does. Raises as
    :meth:`Personalizer.row` does."""
    orders = drafted(request.context.draftOrders or {}, request.context.selections)
    _, row = personalizer.row(principal, request.context.patientId)
    found = alerts(row, personalizer.settings.now(), orders)
    unnamed = [one for one in orders if not one.names]
    if not found and not unnamed:
        return []
    drugs = ", ".join(dict.fromkeys(alert.order.names[0] for alert in found[:MOST_DRUGS])) or "?"
    question = card_texts.ORDER_QUESTION[language].format(drugs=drugs)
    prepared = personalizer.prepare(principal, request.context.patientId, question, language)
    personalizer.record(prepared, f"cds/{request.hook}", prepared.response)
    against = [_against(personalizer, prepared, alert, language) for alert in found]
    return [*against, *(_unnamed(personalizer, prepared, language) for _ in unnamed[:1])]


def _finding(personalizer: Personalizer, prepared: Prepared, found: Finding, language: Language) -> Card:
    label, url = found.limit.guideline
    value = found.value[0].upper() + found.value[1:]
    lines = [f"{value}, {found.age}", *([said("stale", language)] if found.stale else [])]
    return Card(
        uuid=_own_id(personalizer, prepared),
        summary=card_texts.summary(f"{value}, {found.age}: {found.limit.says[language]}"),
        detail="\n\n".join(
            (f"**{said('recorded', language)}**", card_texts.bullets(lines), _made_by(prepared.response, language))
        ),
        indicator=found.indicator,
        source=card_texts.source(language, label, url),
        overrideReasons=card_texts.reasons(language, *VIEW_REASONS),
    )


def _answer(response: PersonalizeResponse, question: str, language: Language) -> Card:
    """The answer to the default question: her pinned facts, then what the refiner kept, in its order of choice."""
    told = _told(response)
    free = [s for s in response.segments if not s.pinned]
    dropped = sum(not s.kept for s in free)
    parts = [
        f"**{said('question', language)}:** {card_texts.plain(question)}",
        f"**{said('chosen', language)}:**\n\n{card_texts.bullets(told)}",
        card_texts.plain(said("left_out", language, dropped=dropped, all=len(free))),
        _made_by(response, language),
    ]
    return Card(
        uuid=UUID(hex=response.id),
        summary=_heading(response),
        detail="\n\n".join(parts),
        indicator="info",
        source=card_texts.source(language),
        overrideReasons=card_texts.reasons(language, *VIEW_REASONS),
    )


def _heading(response: PersonalizeResponse) -> str:
    """As many of the facts as fit whole into a summary; at least the first, cut."""
    told = _told(response)
    fitting = told[0]
    for fact in told[1:]:
        if len(f"{fitting} {fact}") > card_texts.LONGEST_SUMMARY:
            break
        fitting = f"{fitting} {fact}"
    return card_texts.summary(fitting)


def _told(response: PersonalizeResponse) -> list[str]:
    """Her facts, the rules of safety apart: what is pinned, then what the refiner kept in its order of choice."""
    pinned = [s for s in response.segments if s.pinned and s.key != "safety"]
    kept = sorted((s for s in response.segments if s.position is not None), key=lambda s: s.position or 0)
    return [s.text for s in (*pinned, *kept)][:TOLD]


def _against(personalizer: Personalizer, prepared: Prepared, alert: Alert, language: Language) -> Card:
    drug = alert.order.names[0]
    if alert.caution is not None:
        text, (label, url) = f"{drug}: {alert.caution.says[language]}", alert.caution.guideline
        source = card_texts.source(language, label, url)
    else:
        key = "related" if alert.related else "allergy"
        text, source = said(key, language, drug=drug, allergy=alert.allergy), card_texts.source(language)
    detail = [
        f"**{said('question', language)}:** {card_texts.plain(prepared.question)}",
        f"**{said('chosen', language)}:**\n\n{card_texts.bullets(_told(prepared.response))}",
        _made_by(prepared.response, language),
    ]
    suggestion = _removal(alert.order, drug, language)
    return Card(
        uuid=_own_id(personalizer, prepared),
        summary=card_texts.summary(text),
        detail="\n\n".join(detail),
        indicator=alert.indicator,
        source=source,
        suggestions=[suggestion] if suggestion else None,
        selectionBehavior="at-most-one" if suggestion else None,
        overrideReasons=card_texts.reasons(language, *ORDER_REASONS),
    )


def _removal(order: Order, drug: str, language: Language) -> Suggestion | None:
    """To take the order back; None where the client gave it no id."""
    if order.reference is None:
        return None
    label = card_texts.summary(said("remove", language, drug=drug))
    action = Action(type="delete", description=label, resourceId=order.reference)
    return Suggestion(label=label, uuid=uuid4(), actions=[action])


def _unnamed(personalizer: Personalizer, prepared: Prepared, language: Language) -> Card:
    return Card(
        uuid=_own_id(personalizer, prepared),
        summary=card_texts.summary(said("unnamed", language)),
        indicator="info",
        source=card_texts.source(language),
    )


def _own_id(personalizer: Personalizer, prepared: Prepared) -> UUID:
    """An id of its own for one of several cards, kept with how the answer came about: feedback on it finds that."""
    own = uuid4()
    kept = prepared.response.model_copy(update={"id": own.hex})
    personalizer.explanations.keep(prepared.subject, "cds/card", kept)
    return own


def _made_by(response: PersonalizeResponse, language: Language) -> str:
    return said("made_by", language, id=response.id, release=response.versions.release)
