"""An answer in a language that the check cannot read is withheld; English and Chinese pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from models.safety.answer_check import check_answer
from models.safety.answer_language import is_readable
from models.templates import TEMPLATES

FOREIGN = (
    "Es ist kein Notfall, bleiben Sie zu Hause.",
    "Nehmen Sie dreimal täglich Penicillin.",
    "Trinken Sie viel Wasser",
    "Keine Sorge!",
    "No hay emergencia, quédese en casa.",
    "Descanse y beba agua.",
    "La penicilina puede ayudarle.",
    "Ce n'est pas une urgence, restez chez vous.",
    "Reposez-vous et buvez.",
    "Non c'è nessuna emergenza",
    "Fique em casa e descanse.",
    "acil değil, evde kalın",
    "Proszę zostać w domu.",
    "Bạn không cần lo lắng",
    "Tidak perlu khawatir.",
    "Hakuna dharura, kaa nyumbani.",
    "Blijf thuis, het is normaal.",
    "Это не экстренный случай.",
    "Можно принять пенициллин.",
    "大丈夫です、家にいてください",
    "괜찮아요, 집에 계세요",
    "लक्षण सामान्य हैं",
    "لا داعي للقلق",
    "אין צורך לדאוג",
    "ไม่ต้องกังวล",
    "Δεν είναι επείγον.",
    "妳不用擔心，這樣很正常，請在家休息。",
)
READABLE = (
    "",
    "OK.",
    "Rest, and drink enough.",
    "Take it with vitamin C.",
    "Your haemoglobin is 9.8 g/dL, see Dr. Li.",
    "- **Iron**: 65 mg\n- **Folic acid**: 400 micrograms",
    "Omeprazole or famotidine",
    "Preeclampsia, eclampsia and HELLP syndrome",
    "Hyperemesis gravidarum",
    "Placenta praevia: the placenta lies low.",
    "β-hCG and TSH 2.5 mIU/L are usual.",
    '{"answer": "Drink water.", "sources": ["https://www.nhs.uk/schwangerschaft-und-geburt"]}',
    "Kind regards, Anna Schmidt",
    "您可以多喝水，注意休息。",
    "您的 BMI 是 27，建议控制体重（每周不超过 0.5 kg）。",
    "请告诉医生：I feel tired。",
)


@pytest.mark.attack("safety messages", "an answer in a language that the check cannot read", "it is withheld")
@pytest.mark.parametrize("text", FOREIGN)
@pytest.mark.parametrize("within", ["{}", "Thank you for asking. {}. Drink water.", "您好。{}"])
def test_a_foreign_sentence_is_not_read(text: str, within: str) -> None:
    assert not is_readable(within.format(text))
    assert "foreign_language" in check_answer(within.format(text), [])


@pytest.mark.parametrize(
    "text",
    ["es ist alles in Ordnung bleib zu Hause", "no pasa nada quédese en casa", "restez chez vous et reposez-vous"],
)
def test_a_foreign_run_within_a_long_sentence_is_not_read(text: str) -> None:
    assert not is_readable(f"You may well ask and I would say {text} my dear so drink some water and rest")


@pytest.mark.parametrize("text", READABLE)
def test_english_and_chinese_are_read(text: str) -> None:
    assert is_readable(text)


def test_the_texts_of_the_prompts_and_answers_of_the_portal_are_read() -> None:
    files = [*TEMPLATES.glob("en/*.yaml"), *TEMPLATES.glob("zh/*.yaml")]
    files += Path("pipelines/synthetic/portal/rules").glob("*.yaml")
    texts = [text for file in files for text in _list_texts(yaml.safe_load(file.read_text("utf-8")))]
    prose = [text for text in texts if re.search(r"[a-z] [a-z]+ [a-z]|[\u4e00-\u9fff]{4}", text) and "{%" not in text]
    assert len(prose) > 100
    assert [text for text in prose if not is_readable(re.sub(r"{{.*?}}", "4", text))] == []


def _list_texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _list_texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _list_texts(inner)]
    return [value] if isinstance(value, str) else []
