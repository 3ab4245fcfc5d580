"""Examples for the OpenAPI document: one invented patient on every route."""

from __future__ import annotations

from typing import Any

from pmlm.api_types import PLACEHOLDER, PLACEHOLDER_ID

QUESTION = {"patient": PLACEHOLDER, "question": "Is it normal to feel this tired?", "language": "en"}

VERSIONS = {
    "release": "5f2a9c0e7b14",
    "bento": "pmlm:20260601-5f2a9c0e7b14",
    "refiner": "policy-3c1d",
    "template": "t1",
    "feature_service": "pmlm_v1",
    "feature_schema": "9d3b61c7a0f2e458",
    "encoder": "all-MiniLM-L6-v2",
    "as_of": "2026-06-01T23:59:59+00:00",
    "ranker": "ranker-51d0c2a97be4",
}

PERSONALIZED: dict[str, Any] = {
    "id": "0f8e3c5a9b7d4e21a6c08f1d2b3e4a59",
    "prompt": "You answer a patient. She is 30 weeks pregnant. Haemoglobin 9.8 g/dL, low, 12 days ago",
    "initial_prompt": (
        "You answer a patient. She is 30 weeks pregnant. Haemoglobin 9.8 g/dL, low, 12 days ago. "
        "Weight 68.4 kg, 12 days ago."
    ),
    "segments": [
        {
            "key": "pregnancy",
            "kind": "pinned",
            "text": "She is 30 weeks pregnant.",
            "pinned": True,
            "kept": True,
            "sources": ["3f9a1c"],
            "position": None,
            "donors": 0,
            "share": None,
            "guidance": None,
        },
        {
            "key": "haemoglobin.latest",
            "kind": "record",
            "text": "Haemoglobin 9.8 g/dL, low, 12 days ago",
            "pinned": False,
            "kept": True,
            "sources": ["b71e02"],
            "position": 0,
            "donors": 20,
            "share": 0.35,
            "guidance": "NICE CKS, Tiredness/fatigue in adults; BSH guideline on iron deficiency in pregnancy (2020)",
        },
        {
            "key": "weight.latest",
            "kind": "record",
            "text": "Weight 68.4 kg, 12 days ago",
            "pinned": False,
            "kept": False,
            "sources": ["c40d77"],
            "position": None,
            "donors": 0,
            "share": None,
            "guidance": None,
        },
    ],
    "red_flags": [],
    "escalation": None,
    "style": "plain",
    "language": "en",
    "program": {"picks": ["haemoglobin.latest"], "style": "plain", "log_prob": -1.7},
    "versions": VERSIONS,
    "personalization": "full",
    "degraded": None,
}

LLM = {"model": "name-of-the-model", "embedded": False, "seconds": 0.84, "error": None, "findings": []}

ANSWERED: dict[str, Any] = PERSONALIZED | {
    "answer": "Your haemoglobin is low, which makes many women tired. Ask your midwife about iron.",
    "llm": LLM,
    "disclaimer": "This answer was written by a language model, not by a clinician.",
    "escalated": False,
}

EXPLAINED: dict[str, Any] = PERSONALIZED | {"endpoint": "answer", "dropped": ["weight.latest"], "moved": [], "llm": LLM}

TIMELINE: dict[str, Any] = {
    "pregnant": True,
    "gestational_week": 30,
    "postpartum_weeks": None,
    "signals": [
        {
            "name": "haemoglobin",
            "label": "haemoglobin",
            "unit": "g/dL",
            "points": [
                {"days_ago": 92, "gestational_week": 17, "value": 12.1, "z": None, "outside": False},
                {"days_ago": 12, "gestational_week": 28, "value": 9.8, "z": -4.6, "outside": True},
            ],
            "direction": "fall",
            "changed": True,
        }
    ],
}

READY = {
    "release": VERSIONS["release"],
    "bento": VERSIONS["bento"],
    "night": "20260601",
    "refiner": VERSIONS["refiner"],
    "feature_service": VERSIONS["feature_service"],
    "feature_schema": VERSIONS["feature_schema"],
    "features": "readable",
}

DISPUTE = {
    "patient": PLACEHOLDER,
    "fact": "condition:SNOMED//271737000",
    "correct": "Her anaemia was ruled out.",
}

DRAFTED = {
    "id": PERSONALIZED["id"],
    "escalation": None,
    "red_flags": [],
    "sentences": [
        {
            "id": "7c1f0b9d2a4e",
            "text": "Your haemoglobin of 9.8 g/dL is low, so start iron tablets every other day.",
            "role": "fact",
            "facts": [
                {
                    "key": "haemoglobin.latest",
                    "text": "Haemoglobin 9.8 g/dL, low, 12 days ago",
                    "sources": ["b71e02"],
                }
            ],
            "donors": 30,
            "probability": 0.8,
        }
    ],
    "text": "Your haemoglobin of 9.8 g/dL is low, so start iron tablets every other day.",
    "reason": None,
    "withheld": {},
    "language": "en",
    "versions": VERSIONS,
}

FEEDBACK = {"answer_id": PERSONALIZED["id"], "rating": 4}

HOOK = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/example", "patientId": PLACEHOLDER_ID},
}

CARD = {
    "uuid": "4f1f0a52-6f0e-4e0c-9a51-1d0f7f2b9d11",
    "summary": "Haemoglobin has fallen to 9.8 g/dL, outside her own range.",
    "indicator": "warning",
    "source": {"label": "PMLM"},
}

SERVICE = {
    "hook": "patient-view",
    "id": "pmlm-patient-view",
    "title": "What matters in her record",
    "description": "Recorded values beyond a guideline's limit, and the facts of her record that matter most today.",
}

CARD_FEEDBACK = {
    "feedback": [
        {"card": CARD["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-06-02T08:30:00Z"},
    ]
}

#: Operation → what is sent and what is answered; FastAPI leaves nulls out of the examples that it is given itself.
OPERATIONS: dict[tuple[str, str], tuple[dict[str, Any] | None, dict[str, Any] | None]] = {
    ("post", "/personalize"): (QUESTION, PERSONALIZED),
    ("post", "/answer"): (QUESTION, ANSWERED),
    ("post", "/draft"): (QUESTION, DRAFTED),
    ("get", "/explain/{answer_id}"): (None, EXPLAINED),
    ("get", "/patients/{ref}/timeline"): (None, TIMELINE),
    ("get", "/readyz"): (None, READY),
    ("post", "/feedback"): (FEEDBACK, {"id": "5d1b4e6f8a7c2b3d4e5f60710f8e3c5a", "counts": True}),
    ("post", "/disputes"): (
        DISPUTE,
        {"id": "7c2b3d4e5f60710f8e3c5a5d1b4e6f8a", "fact": "condition:SNOMED//271737000", "stays": False},
    ),
    ("get", "/cds-services"): (None, {"services": [SERVICE]}),
    ("post", "/cds-services/{service_id}"): (HOOK, {"cards": [CARD]}),
    ("post", "/cds-services/{service_id}/feedback"): (CARD_FEEDBACK, None),
    ("get", "/v1/models"): (
        None,
        {"object": "list", "data": [{"id": "name-of-the-model", "object": "model", "created": 0, "owned_by": "pmlm"}]},
    ),
}

#: Status → title, detail, field of the problem shown for it.
PROBLEMS: dict[int, tuple[str, str, str | None]] = {
    400: ("Bad Request", "question: Value error, must not be empty", "question"),
    401: ("Unauthorized", "a bearer token is needed", None),
    403: ("Forbidden", "this token does not open a patient by this reference", "patient"),
    404: ("Not Found", "the clinic has no patient by this reference", "patient"),
    405: ("Method Not Allowed", "Method Not Allowed", None),
    413: ("Request Entity Too Large", "the body is over 65536 bytes", "body"),
    415: ("Unsupported Media Type", "the body must be application/json", "body"),
    429: ("Too Many Requests", "too many requests", None),
    500: ("Internal Server Error", "Internal Server Error", None),
    502: ("Bad Gateway", "the language model cannot be reached at the moment", None),
    503: ("Service Unavailable", "the clinic's features cannot be read at the moment", None),
    504: ("Gateway Timeout", "the language model did not answer in time", None),
}


def problem(status: int) -> dict[str, Any]:
    """The example of a problem with this status."""
    title, detail, field = PROBLEMS[status]
    named = {} if field is None else {"field": field}
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **named}
