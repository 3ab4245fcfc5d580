"""The codes PMLM reads by meaning: signals, concepts, drugs.

Every other code is carried, not read. Codes are written as in the event log, ``SYSTEM//code`` with SYSTEM one of
LOINC, SNOMED, RXNORM, ICD10 (ICD-10-CM too), ICD10PCS, CPT, CVX. Plausible ranges are limits of possibility (a value
outside is a recording error), not of health.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from models.code_sets import CodeSet, read_code_sets

SYSTEMS: dict[str, str] = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RXNORM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://www.whocc.no/atc": "ATC",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://unitsofmeasure.org": "UCUM",
    "http://www.ama-assn.org/go/cpt": "CPT",
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "http://hl7.org/fhir/sid/icd-10-pcs": "ICD10PCS",
}


@dataclass(frozen=True, slots=True)
class Signal:
    """A numeric signal followed over time.

    ``units`` maps each accepted UCUM unit to its factor into ``unit``, ``offsets`` those that have one to what is added
    after it (degrees Fahrenheit); any other unit is converted by its UCUM meaning, or quarantined. ``molar_mass`` is
    in g/mol, of what is measured, to read moles as grams.
    ``low`` and ``high`` bound what is possible. ``step`` is the smallest change worth a word.
    """

    name: str
    label: str
    codes: tuple[str, ...]
    unit: str
    units: dict[str, float]
    low: float
    high: float
    step: float
    decimals: int = 0
    offsets: Mapping[str, float] = field(default_factory=dict)
    molar_mass: float | None = None

    def to_canonical(self, value: float, unit: str) -> float | None:
        """Convert ``value`` to the signal's own unit; None for a unit that is not listed."""
        factor = self.units.get(unit)
        return None if factor is None else value * factor + self.offsets.get(unit, 0.0)


_MMHG = {"mm[Hg]": 1.0, "mmHg": 1.0, "mm Hg": 1.0, "kPa": 7.50062}

SIGNALS: tuple[Signal, ...] = (
    Signal(
        "weight",
        "weight",
        ("LOINC//29463-7", "LOINC//3141-9"),
        "kg",
        {"kg": 1.0, "g": 0.001, "[lb_av]": 0.45359237, "lb": 0.45359237, "lbs": 0.45359237},
        0.2,
        400.0,
        1.0,
        1,
    ),
    Signal("systolic", "systolic blood pressure", ("LOINC//8480-6",), "mm[Hg]", _MMHG, 40.0, 300.0, 5.0),
    Signal("diastolic", "diastolic blood pressure", ("LOINC//8462-4",), "mm[Hg]", _MMHG, 20.0, 200.0, 5.0),
    Signal(
        "haemoglobin",
        "haemoglobin",
        ("LOINC//718-7", "LOINC//20509-6", "LOINC//30313-1"),
        "g/dL",
        {"g/dL": 1.0, "g/L": 0.1, "mmol/L": 1.6114},
        2.0,
        25.0,
        0.5,
        1,
        molar_mass=16_114.0,  # of one chain with its iron, Hb(Fe), as laboratories report moles
    ),
    Signal(
        "glucose",
        "blood glucose",
        ("LOINC//2339-0", "LOINC//2345-7", "LOINC//1558-6", "LOINC//15074-8", "LOINC//14749-6"),
        "mg/dL",
        {"mg/dL": 1.0, "mmol/L": 18.0156, "g/L": 100.0},
        10.0,
        1500.0,
        8.0,
        molar_mass=180.156,
    ),
    # mmol/mol (IFCC) to percent (NGSP) by the NGSP's IFCC Standardization: NGSP = 0.09148 · IFCC + 2.152
    Signal(
        "hba1c",
        "HbA1c",
        ("LOINC//4548-4", "LOINC//17856-6"),
        "%",
        {"%": 1.0, "mmol/mol": 0.09148},
        2.0,
        25.0,
        0.3,
        1,
        {"mmol/mol": 2.152},
    ),
    Signal("bmi", "BMI", ("LOINC//39156-5",), "kg/m2", {"kg/m2": 1.0, "kg/m^2": 1.0}, 5.0, 120.0, 1.0, 1),
    Signal(
        "heart_rate",
        "heart rate",
        ("LOINC//8867-4",),
        "/min",
        {"/min": 1.0, "{beats}/min": 1.0, "bpm": 1.0, "beats/minute": 1.0},
        15.0,
        350.0,
        10.0,
    ),
    Signal(
        "temperature",
        "temperature",
        ("LOINC//8310-5",),
        "Cel",
        {"Cel": 1.0, "degC": 1.0, "°C": 1.0, "[degF]": 5 / 9, "degF": 5 / 9, "°F": 5 / 9},
        25.0,
        46.0,
        0.5,
        1,
        dict.fromkeys(("[degF]", "degF", "°F"), -32 * 5 / 9),
    ),
    Signal(
        "phq9",
        "PHQ-9 mood score",
        ("LOINC//44261-6", "LOINC//89204-2"),
        "{score}",
        {"{score}": 1.0, "1": 1.0},
        0.0,
        27.0,
        3.0,
    ),
    Signal("phq2", "PHQ-2 mood score", ("LOINC//55758-7",), "{score}", {"{score}": 1.0, "1": 1.0}, 0.0, 6.0, 1.0),
    Signal("gad7", "GAD-7 anxiety score", ("LOINC//70274-6",), "{score}", {"{score}": 1.0, "1": 1.0}, 0.0, 21.0, 3.0),
    Signal(
        "pain",
        "pain score",
        ("LOINC//72514-3", "LOINC//38208-5"),
        "{score}",
        {"{score}": 1.0, "1": 1.0},
        0.0,
        10.0,
        2.0,
    ),
    Signal(
        "audit_c", "AUDIT-C alcohol score", ("LOINC//75626-2",), "{score}", {"{score}": 1.0, "1": 1.0}, 0.0, 12.0, 2.0
    ),
)

SIGNAL_BY_CODE: dict[str, Signal] = {code: s for s in SIGNALS for code in s.codes}

EDD_CODE = "LOINC//11778-8"
LMP_CODE = "LOINC//8665-2"
SMOKING_CODE = "LOINC//72166-2"
BIRTH_CODE = "MEDS_BIRTH"
DEATH_CODE = "MEDS_DEATH"
RATING_CODE = "PMLM//RATING"
QUESTION_CODE = "PMLM//QUESTION"
REPLY_CODE = "PMLM//REPLY"
ANSWER_CODE = "PMLM//ANSWER"  # a rated answer of a language model: only its number of words is stored
LANGUAGE_CODE = "PMLM//LANGUAGE"
UNREAD_ALLERGY_CODE = "PMLM//UNREAD_ALLERGY"  # an entry of the allergy list is in quarantine
CONDITION_END_CODE = "PMLM//CONDITION_END"
MEDICATION_END_CODE = "PMLM//MEDICATION_END"
DISPUTE_CODE = "PMLM//FACT_DISPUTED"
#: What each code of ours means.
OWN_CODES: dict[str, str] = {
    BIRTH_CODE: "birth",
    DEATH_CODE: "death",
    RATING_CODE: "rating of an answer, in stars",
    QUESTION_CODE: "question to the clinic",
    REPLY_CODE: "reply of a clinician",
    ANSWER_CODE: "rated answer of a language model, in words",
    LANGUAGE_CODE: "language that the patient prefers",
    CONDITION_END_CODE: "end of a condition",
    MEDICATION_END_CODE: "end of a medicine",
    DISPUTE_CODE: "fact that a clinician calls wrong",
}


@dataclass(frozen=True, slots=True)
class Concept:
    """A condition, labelled in the patient's words; its absence is a fact too.

    ``codes`` come from ``code_files/concepts.csv``. ``negative`` says whether absence becomes a segment.
    """

    name: str
    label: str
    codes: CodeSet
    negative: bool = True

    @property
    def snomed(self) -> tuple[str, ...]:
        """Its SNOMED codes."""
        return tuple(sorted(c.removeprefix("SNOMED//") for c in self.codes.exact if c.startswith("SNOMED//")))


def _concept(name: str, label: str, negative: bool = True) -> Concept:
    codes = read_code_sets("pregnancy" if name == "pregnancy" else "concepts")[name]
    return Concept(name, label, codes, negative)


CONCEPTS: tuple[Concept, ...] = (
    _concept("pregnancy", "pregnancy", False),
    _concept("hypertension", "high blood pressure"),
    _concept("preeclampsia", "pre-eclampsia"),
    _concept("diabetes", "diabetes"),
    _concept("gestational_diabetes", "gestational diabetes"),
    _concept("prediabetes", "prediabetes"),
    _concept("anaemia", "anaemia"),
    _concept("asthma", "asthma"),
    _concept("migraine", "migraine"),
    _concept("depression", "depression"),
    _concept("anxiety", "anxiety"),
    _concept("obesity", "obesity"),
    _concept("thyroid", "thyroid disease"),
    _concept("kidney_disease", "kidney disease"),
    _concept("clot", "blood clots"),
    _concept("reflux", "acid reflux", False),
    _concept("urinary_infection", "urinary infection", False),
    _concept("miscarriage", "a miscarriage"),
    _concept("epilepsy", "epilepsy"),
    _concept("endometriosis", "endometriosis", False),
    _concept("pcos", "polycystic ovary syndrome", False),
    _concept("chronic_pain", "chronic pain", False),
)


@lru_cache(maxsize=1 << 14)
def find_concept(code: str) -> Concept | None:
    """Find the concept that a ``SYSTEM//code`` belongs to; None for a code without meaning here."""
    return next((concept for concept in CONCEPTS if code in concept.codes), None)


DRUG_CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    # class → (label, words found in the lower-case name of the drug)
    "nsaid": ("anti-inflammatory painkiller", ("ibuprofen", "naproxen", "diclofenac", "ketorolac", "meloxicam")),
    "aspirin": ("aspirin", ("aspirin", "acetylsalicylic")),
    "paracetamol": ("paracetamol", ("acetaminophen", "paracetamol", "tylenol")),
    "opioid": ("opioid painkiller", ("codone", "codeine", "tramadol", "morphine", "meperidine", "fentanyl")),
    "iron": ("iron tablets", ("ferrous", "ferric", "iron ")),
    "folic_acid": ("folic acid", ("folic acid", "folate", "prenatal vitamin")),
    "combined_contraceptive": (
        "combined hormonal contraceptive",
        ("seasonique", "levora", "natazia", "yaz", "trinessa", "tri-cyclen", "estrostep", "nuvaring", "estradiol"),
    ),
    "progestin_contraceptive": (
        "progestogen-only contraceptive",
        ("jolivette", "errin", "camila", "norethindrone", "etonogestrel", "medroxyprogesterone", "levonorgestrel"),
    ),
    "antidepressant": ("antidepressant", ("sertraline", "citalopram", "fluoxetine", "venlafaxine", "duloxetine")),
    "antihypertensive": (
        "blood pressure medicine",
        ("labetalol", "nifedipine", "amlodipine", "lisinopril", "methyldopa", "hydrochlorothiazide", "losartan"),
    ),
    "ace_inhibitor": ("ACE inhibitor", ("pril ", "lisinopril", "enalapril", "ramipril")),
    "diabetes_medicine": ("diabetes medicine", ("metformin", "insulin", "glipizide", "liraglutide")),
    "migraine_medicine": ("migraine medicine", ("sumatriptan", "rizatriptan", "topiramate", "propranolol")),
    "antibiotic": (
        "antibiotic",
        ("amoxicillin", "penicillin", "azithromycin", "doxycycline", "nitrofurantoin", "cef", "ciprofloxacin"),
    ),
    "reflux_medicine": ("reflux medicine", ("omeprazole", "famotidine", "pantoprazole", "ranitidine")),
    "inhaler": ("asthma inhaler", ("albuterol", "salbutamol", "fluticasone", "budesonide")),
    "anticoagulant": ("blood thinner", ("heparin", "enoxaparin", "warfarin", "apixaban", "rivaroxaban")),
    "thyroid_medicine": ("thyroid medicine", ("levothyroxine", "methimazole")),
}


def find_drug_class(name: str) -> str | None:
    """Find the first drug class one of whose words occurs in ``name``, or None."""
    return next(list_drug_classes(name), None)


def list_drug_classes(name: str) -> Iterator[str]:
    """List every drug class one of whose words occurs in ``name``."""
    lowered = name.lower() + " "
    return (label for label, (_, words) in DRUG_CLASSES.items() if any(word in lowered for word in words))
