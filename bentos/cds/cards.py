"""Build cards from one patient's record: critical values, the facts that matter, order alerts.

No language model is asked: a card says what the record says, within the half second a client waits.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from bentos.auth.principal import Principal
from bentos.cds import card_texts
from bentos.cds.card_texts import render_text
from bentos.cds.cds_types import Action, Card, HookRequest, Suggestion
from bentos.cds.draft_card import build_draft_cards
from bentos.cds.draft_orders import DraftOrder, read_orders
from bentos.cds.orders import OrderAlert, find_alerts
from bentos.personalizer.personalizer import Personalizer
from bentos.personalizer.prepared_prompt import PreparedPrompt
from models.patient.critical_values import CriticalValue, find_critical_values
from models.schema import FeatureRow
from pmlm.api_types import Language, PersonalizeResponse
from pmlm.errors import FeaturesUnavailableError

MOST_DRUGS = 3
MOST_ALERTS = 50
MOST_FACTS = 8
_FULL_STOPS = (".", "。")
VIEW_REASONS = ("acted-on", "known", "not-relevant", "wrong")
ORDER_REASONS = ("benefit", "known", "not-relevant", "wrong")


def answer_patient_view(
    personalizer: Personalizer, principal: Principal, request: HookRequest, language: Language
) -> list[Card]:
    """A card per critical value, a draft where the setting asks for it, then one that answers the default question.

    None for a patient without a record. Raises as :meth:`Personalizer.prepare` does.
    """
    question = card_texts.QUESTION[language]
    prepared = personalizer.prepare(principal, request.context.patientId, question, language)
    if prepared.response.degraded:  # an empty list would say that no value is beyond a limit
        raise FeaturesUnavailableError("the clinic's features cannot be read at the moment")
    if prepared.response.personalization == "none":
        return []
    found = find_critical_values(prepared.row, personalizer.settings.now(), language)
    personalizer.record(prepared, "cds/patient-view", prepared.response, safety=bool(found))
    critical = [_build_value_card(personalizer, prepared, value, language) for value in found]
    drafted = build_draft_cards(personalizer, principal, request, language)
    return [*critical, *drafted, _build_answer_card(prepared.response, question, language)]


def answer_order(
    personalizer: Personalizer, principal: Principal, request: HookRequest, language: Language
) -> list[Card]:
    """A card per recorded fact that speaks against a draft order, then one for what was not checked.

    No card means that every order was read and nothing speaks against it. Raises as :meth:`Personalizer.read_patient`
    does.
    """
    drafts = read_orders(request.context.draftOrders or {}, request.context.selections)
    _, row = personalizer.read_patient(principal, request.context.patientId)
    found = find_alerts(row, personalizer.settings.now(), drafts.orders)
    unchecked = list(card_texts.list_unchecked(drafts, len(found) - MOST_ALERTS, _is_unprocessed(row), language))
    if not found and not unchecked:
        return []
    drugs = ", ".join(dict.fromkeys(alert.order.names[0] for alert in found[:MOST_DRUGS])) or "?"
    question = card_texts.ORDER_QUESTION[language].format(drugs=drugs)
    prepared = personalizer.prepare(principal, request.context.patientId, question, language)
    personalizer.record(prepared, f"cds/{request.hook}", prepared.response, safety=bool(found))
    against = [_build_alert_card(personalizer, prepared, alert, language) for alert in found[:MOST_ALERTS]]
    return [*against, *([_build_unchecked_card(personalizer, prepared, unchecked, language)] if unchecked else [])]


def _is_unprocessed(row: FeatureRow) -> bool:
    """Whether no night has computed this patient's features yet: nothing is known, an allergy neither."""
    return all(value in (None, [], ()) for value in row.values())


def _build_value_card(
    personalizer: Personalizer, prepared: PreparedPrompt, found: CriticalValue, language: Language
) -> Card:
    label, url = found.limit.guideline
    value = found.value[0].upper() + found.value[1:]
    lines = [f"{value}, {found.age}", *([render_text("stale", language)] if found.stale else [])]
    return Card(
        uuid=_store_card(personalizer, prepared),
        summary=card_texts.shorten_summary(f"{value}, {found.age}: {found.limit.says[language]}"),
        detail="\n\n".join(
            (
                f"**{render_text('recorded', language)}**",
                card_texts.render_list(lines),
                _version_line(prepared.response, language),
            )
        ),
        indicator=found.indicator,
        source=card_texts.make_source(language, label, url),
        overrideReasons=card_texts.make_reasons(language, *VIEW_REASONS),
    )


def _build_answer_card(response: PersonalizeResponse, question: str, language: Language) -> Card:
    """The answer to the default question: pinned facts, then the refiner's choice in its order."""
    facts = _list_facts(response)
    free = [s for s in response.segments if not s.pinned]
    dropped = sum(not s.kept for s in free)
    parts = [
        f"**{render_text('question', language)}:** {card_texts.escape_markdown(question)}",
        f"**{render_text('chosen', language)}:**\n\n{card_texts.render_list(facts)}",
        card_texts.escape_markdown(render_text("left_out", language, dropped=dropped, all=len(free))),
        _version_line(response, language),
    ]
    return Card(
        uuid=UUID(hex=response.id),
        summary=_heading(response),
        detail="\n\n".join(parts),
        indicator="info",
        source=card_texts.make_source(language),
        overrideReasons=card_texts.make_reasons(language, *VIEW_REASONS),
    )


def _heading(response: PersonalizeResponse) -> str:
    """As many facts as fit whole into a summary; at least the first, cut."""
    facts = _list_facts(response)
    fitting = facts[0]
    for fact in facts[1:]:
        longer = f"{fitting}{' ' if fitting.endswith(_FULL_STOPS) else '; '}{fact}"
        if len(longer) > card_texts.LONGEST_SUMMARY:
            break
        fitting = longer
    return card_texts.shorten_summary(fitting)


def _list_facts(response: PersonalizeResponse) -> list[str]:
    """Pinned facts without the safety rules, then the refiner's choice in its order."""
    pinned = [s for s in response.segments if s.pinned and s.key != "safety"]
    chosen = sorted((s for s in response.segments if s.position is not None), key=lambda s: s.position or 0)
    return [s.text for s in (*pinned, *chosen)][:MOST_FACTS]


def _build_alert_card(
    personalizer: Personalizer, prepared: PreparedPrompt, alert: OrderAlert, language: Language
) -> Card:
    drug = alert.order.names[0]
    if alert.caution is not None:
        text, (label, url) = f"{drug}: {alert.caution.says[language]}", alert.caution.guideline
        source = card_texts.make_source(language, label, url)
    else:
        key = "related" if alert.related else "allergy"
        text, source = render_text(key, language, drug=drug, allergy=alert.allergy), card_texts.make_source(language)
    detail = [
        f"**{render_text('question', language)}:** {card_texts.escape_markdown(prepared.question)}",
        f"**{render_text('chosen', language)}:**\n\n{card_texts.render_list(_list_facts(prepared.response))}",
        _version_line(prepared.response, language),
    ]
    suggestion = _suggest_removal(alert.order, drug, language)
    return Card(
        uuid=_store_card(personalizer, prepared),
        summary=card_texts.shorten_summary(text),
        detail="\n\n".join(detail),
        indicator=alert.indicator,
        source=source,
        suggestions=[suggestion] if suggestion else None,
        selectionBehavior="at-most-one" if suggestion else None,
        overrideReasons=card_texts.make_reasons(language, *ORDER_REASONS),
    )


def _suggest_removal(order: DraftOrder, drug: str, language: Language) -> Suggestion | None:
    """To take the order back; None where the client gave it no id."""
    if order.reference is None:
        return None
    label = card_texts.shorten_summary(render_text("remove", language, drug=drug))
    action = Action(type="delete", description=label, resourceId=order.reference)
    return Suggestion(label=label, uuid=uuid4(), actions=[action])


def _build_unchecked_card(
    personalizer: Personalizer, prepared: PreparedPrompt, unchecked: list[str], language: Language
) -> Card:
    """What was not checked: the client's silence about it must not be read as consent."""
    return Card(
        uuid=_store_card(personalizer, prepared),
        summary=card_texts.shorten_summary(unchecked[0]),
        detail=card_texts.render_list(unchecked),
        indicator="warning",
        source=card_texts.make_source(language),
    )


def _store_card(personalizer: Personalizer, prepared: PreparedPrompt) -> UUID:
    """Store how a card came about under a new id, for feedback; return the id."""
    own = uuid4()
    response = prepared.response.model_copy(update={"id": own.hex})
    personalizer.recorder.record_card(prepared.subject, response)
    return own


def _version_line(response: PersonalizeResponse, language: Language) -> str:
    return render_text("made_by", language, id=response.id, release=response.versions.release)
