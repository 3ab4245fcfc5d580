"""The CDS services: what ``GET /cds-services`` lists, and which function answers each.

The order hooks are served like ``patient-view``, because what PMLM never lets a policy drop, allergies and pregnancy,
is what an order must be checked against. ``order-select`` warns while another medicine can still be chosen;
``order-sign`` under the same id brings its cards up to date before the order counts, as the specification provides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bentos.cds.cds_types import Card, Discovery, Hook, HookRequest, Service
from pmlm.api_types import Language

if TYPE_CHECKING:
    from bentos.auth.principal import Principal
    from bentos.personalizer.personalizer import Personalizer

    CdsService = Callable[[Personalizer, Principal, HookRequest, Language], list[Card]]

VIEW, ORDERS = "pmlm-patient-view", "pmlm-orders"
_ORDER_DESCRIPTION = (
    "Checks drafted medicines against the patient's recorded drug allergies, pregnancy and recent birth; silent where "
    "every order was read and nothing speaks against it."
)
USAGE = "Every call needs a bearer token (JWT) whose scopes cover system/Patient.r. No FHIR resource is asked for."

SERVICES: tuple[Service, ...] = (
    Service(
        hook="patient-view",
        id=VIEW,
        title="What matters in her record",
        description="Recorded values beyond a guideline's limit, and the facts of her record that matter most today.",
        usageRequirements=USAGE,
    ),
    *(
        Service(
            hook=hook, id=ORDERS, title="What speaks against an order", description=_ORDER_DESCRIPTION,
            usageRequirements=USAGE,
        )
        for hook in ("order-select", "order-sign")
    ),
)  # fmt: skip


def build_discovery() -> Discovery:
    """All services."""
    return Discovery(services=list(SERVICES))


def hooks_of(service_id: str) -> frozenset[Hook]:
    """The hooks that a service answers; empty where there is no such service."""
    return frozenset(service.hook for service in SERVICES if service.id == service_id)


def find_service(service_id: str) -> CdsService:
    """The function behind a service."""
    from bentos.cds import cards  # with the method's modules, which a bento is built without

    return cards.answer_patient_view if service_id == VIEW else cards.answer_order
