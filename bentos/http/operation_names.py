"""Name every operation of the OpenAPI document: its group, and its id for generated clients."""

from __future__ import annotations

#: Group → what it is for, in the order in which a reader meets them.
TAGS = {
    "answers": "Personalised prompts and answers, and why they came about.",
    "openai": "OpenAI's APIs: change one URL.",
    "clinicians": "Drafts, feedback and disputes: what a clinician writes.",
    "cds-hooks": "Cards for an EHR.",
    "health": "Whether it answers, and what it serves.",
}
#: Operation → its group and id.
OPERATION_NAMES: dict[tuple[str, str], tuple[str, str]] = {
    ("post", "/personalize"): ("answers", "personalize"),
    ("post", "/answer"): ("answers", "answer"),
    ("get", "/explain/{answer_id}"): ("answers", "explainAnswer"),
    ("get", "/patients/{ref}/timeline"): ("answers", "readTimeline"),
    ("post", "/v1/chat/completions"): ("openai", "createChatCompletion"),
    ("post", "/v1/responses"): ("openai", "createResponse"),
    ("get", "/v1/models"): ("openai", "listModels"),
    ("post", "/draft"): ("clinicians", "draftReply"),
    ("post", "/feedback"): ("clinicians", "giveFeedback"),
    ("post", "/disputes"): ("clinicians", "disputeFact"),
    ("get", "/cds-services"): ("cds-hooks", "listCdsServices"),
    ("post", "/cds-services/{service_id}"): ("cds-hooks", "callCdsService"),
    ("post", "/cds-services/{service_id}/feedback"): ("cds-hooks", "giveCdsFeedback"),
    ("get", "/livez"): ("health", "checkLiveness"),
    ("get", "/readyz"): ("health", "checkReadiness"),
}
