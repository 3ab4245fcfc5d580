"""Tell which facts behind a reply none of its sentences names.

No reader of the reply could find them, so evaluation reports them apart. A rule may rest on a fact that it does not say
(no high blood pressure, in "you had no pre-eclampsia, so you need not measure"). A sentence names a fact if it has a
word of it: the condition's, the drug's or its class's, the signal's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from models.vocabulary import DRUG_CLASSES
from pipelines.synthetic.portal.replies import ReplySentence

#: Subject of a segment key → the words by which rules and the second writer name it; ``no.x`` is named as ``x`` is.
_WORDS: dict[str, str] = {
    "age": r"\bage\b|\b(at|are|re|being) \d\d\b|\d\d years|\bover 35|\b35\b|older",
    "allergies": "allerg",
    "anxiety": "anxi|worr",
    "asthma": "asthma|inhaler|wheez|airway",
    "blood_pressure": r"pressure|\bBP\b|\d/\d",
    "bmi": r"body mass|\bBMI\b|weight",
    "clot": "clot|thrombos|blood thin",
    "depression": "depress|low mood|mood",
    "diabetes": "diabet|sugar",
    "emergency": "emergency",
    "endometriosis": "endometriosis",
    "epilepsy": "epilep|seizure",
    "gestational_diabetes": r"diabet|sugar|\bGDM\b",
    "glucose": "glucose|sugar",
    "haemoglobin": r"haemoglobin|\bHb\b|blood count|an(a)?emi|iron",
    "hba1c": "hba1c",
    "hypertension": r"pressure|hypertens|\bBP\b",
    "kidney_disease": "kidney|renal",
    "migraine": "migraine",
    "miscarriages": "miscarriage|loss",
    "missed": "missed|miss |not come",
    "pain": "pain",
    "pcos": r"polycystic|\bPCOS\b",
    "phq9": r"\bPHQ|mood|score",
    "prediabetes": "prediabet",
    "preeclampsia": r"eclampsia|\bPET\b",
    "pregnancy": r"week|\bwks\b|pregnan|gestation|birth|baby",
    "reflux": "reflux|heartburn",
    "smoking": "smok|cigarette|tobacco",
    "thyroid": r"thyroid|\bTSH\b",
    "urinary_infection": "infection",
    "weight": r"weight|\bkg\b|gain",
}
#: Words of a drug class beside its label's last word and its drugs.
_CLASS_WORDS: dict[str, str] = {
    "ace_inhibitor": r"\bACE\b",
    "anticoagulant": "thinner|injection|inject",
    "antihypertensive": "(pressure|BP) (medic|tablet|pill|med)",
    "combined_contraceptive": r"\bpill|combined|contracepti",
    "diabetes_medicine": "medication|meds",
    "folic_acid": "folic",
    "iron": r"\biron\b",
    "migraine_medicine": "medication|meds",
    "nsaid": r"inflammator|\bNSAID",
    "opioid": "opioid|strong painkiller",
    "progestin_contraceptive": r"progest|\bpill|contracepti",
    "reflux_medicine": "medication|meds",
    "thyroid_medicine": r"thyroid|\bTSH\b",
}


def find_unspoken(sentences: Iterable[ReplySentence]) -> frozenset[str]:
    """Find the facts that no sentence of the reply names."""
    found = list(sentences)
    facts = {key for s in found for key in s.facts}
    return frozenset(key for key in facts if not any(names_fact(s.text, key) for s in found))


def names_fact(text: str, key: str) -> bool:
    """Whether the text has a word of the fact."""
    return _compile_words(key).search(text) is not None


@cache
def _compile_words(key: str) -> re.Pattern[str]:
    kind, _, subject = key.partition(".")
    if kind == "medicine":
        label, drugs = DRUG_CLASSES[subject]
        words = [re.escape(label.split()[-1].removesuffix("s")), *(re.escape(drug.strip()) for drug in drugs)]
        return re.compile("|".join([*words, *([_CLASS_WORDS[subject]] if subject in _CLASS_WORDS else [])]), re.I)
    if key == "medicines.none":
        return re.compile("medic|meds", re.I)
    name = subject if kind in ("condition", "no", "peer", "history", "visits") else kind
    return re.compile(_WORDS[name], re.I)
