"""Every word by which an answer can name a drug: substance, brand, class.

One row per substance, with Chinese names and the classes that cross-react. A row matters only where a record lists the
drug as an allergy: then no answer may suggest it under another of its names. Brands are those sold over the counter in
English-speaking countries and China.
"""

from __future__ import annotations

import re
from functools import lru_cache

from models.safety.triage.text_normalization import normalize_text
from models.vocabulary import DRUG_CLASSES

#: Other names of a substance. A listed name is looked for inside a word too ("cillin").
NAMES: dict[str, tuple[str, ...]] = {
    "ibuprofen": ("advil", "motrin", "nurofen", "brufen", "布洛芬", "芬必得", "美林"),
    "naproxen": ("aleve", "naprosyn", "萘普生"),
    "diclofenac": ("voltaren", "voltarol", "双氯芬酸", "扶他林"),
    "ketorolac": ("toradol", "酮咯酸"),
    "aspirin": ("acetylsalicylic", "salicylate", "disprin", "bayer aspirin", "阿司匹林", "乙酰水杨酸"),
    "acetaminophen": ("paracetamol", "tylenol", "panadol", "calpol", "对乙酰氨基酚", "扑热息痛", "泰诺", "必理通"),
    "penicillin": ("cillin", "augmentin", "青霉素", "阿莫西林", "氨苄西林", "哌拉西林"),
    "amoxicillin": ("augmentin", "阿莫西林"),
    "ampicillin": ("氨苄西林",),
    "cephalosporin": ("cefalexin", "cephalexin", "ceftriaxone", "cefazolin", "cefuroxime", "keflex", "头孢"),
    "cefazolin": ("头孢唑林",),
    "ceftriaxone": ("头孢曲松",),
    "erythromycin": ("红霉素",),
    "azithromycin": ("zithromax", "阿奇霉素"),
    "clarithromycin": ("克拉霉素",),
    "clindamycin": ("克林霉素",),
    "doxycycline": ("多西环素", "强力霉素"),
    "tetracycline": ("四环素",),
    "metronidazole": ("flagyl", "甲硝唑", "灭滴灵"),
    "nitrofurantoin": ("macrobid", "呋喃妥因"),
    "ciprofloxacin": ("cipro", "环丙沙星"),
    "levofloxacin": ("左氧氟沙星",),
    "gentamicin": ("庆大霉素",),
    "vancomycin": ("万古霉素",),
    "sulfonamide": ("sulfa", "sulfamethoxazole", "bactrim", "septrin", "co-trimoxazole", "磺胺", "复方新诺明"),
    "sulfamethoxazole": ("sulfa", "bactrim", "septrin", "磺胺", "复方新诺明"),
    "trimethoprim": ("bactrim", "septrin", "甲氧苄啶"),
    "codeine": ("可待因",),
    "morphine": ("吗啡",),
    "tramadol": ("ultram", "曲马多"),
    "oxycodone": ("oxycontin", "percocet", "羟考酮"),
    "hydrocodone": ("vicodin", "氢可酮"),
    "meperidine": ("pethidine", "demerol", "哌替啶", "杜冷丁"),
    "fentanyl": ("芬太尼",),
    "lidocaine": ("lignocaine", "利多卡因"),
    "bupivacaine": ("布比卡因",),
    "nifedipine": ("硝苯地平", "拜新同"),
    "labetalol": ("拉贝洛尔",),
    "methyldopa": ("甲基多巴",),
    "lisinopril": ("赖诺普利",),
    "metformin": ("glucophage", "二甲双胍"),
    "insulin": ("胰岛素",),
    "omeprazole": ("prilosec", "losec", "奥美拉唑"),
    "famotidine": ("pepcid", "法莫替丁"),
    "ondansetron": ("zofran", "昂丹司琼"),
    "metoclopramide": ("reglan", "maxolon", "甲氧氯普胺", "胃复安"),
    "heparin": ("肝素",),
    "enoxaparin": ("lovenox", "clexane", "依诺肝素"),
    "warfarin": ("coumadin", "华法林"),
    "sertraline": ("zoloft", "lustral", "舍曲林"),
    "fluoxetine": ("prozac", "氟西汀"),
    "albuterol": ("salbutamol", "ventolin", "沙丁胺醇", "万托林"),
    "loratadine": ("claritin", "clarityn", "氯雷他定", "开瑞坦"),
    "cetirizine": ("zyrtec", "西替利嗪"),
    "diphenhydramine": ("benadryl", "苯海拉明"),
    "oxytocin": ("pitocin", "syntocinon", "缩宫素", "催产素"),
    "iron": ("ferrous", "ferric", "铁剂", "硫酸亚铁"),
}
_NSAID_ZH = ("布洛芬", "萘普生", "双氯芬酸", "酮咯酸", "芬必得", "美林", "扶他林", "吲哚美辛")
_PENICILLINS = frozenset({"penicillin", "amoxicillin", "ampicillin", "flucloxacillin", "piperacillin", "dicloxacillin"})
#: Words of a drug's display that name a form, not the drug.
_FORMS = frozenset(
    {"oral", "tablet", "tablets", "capsule", "capsules", "injection", "solution", "injectable", "extended", "release"}
    | {"delayed", "hour", "chewable", "topical", "cream", "prefilled", "syringe", "suspension", "sodium", "potassium"}
    | {"hydrochloride", "acid", "drug", "drugs", "medication", "medicine", "substance", "allergy", "allergic"}
    | {"product", "containing", "class"}
)


@lru_cache(maxsize=2000)  # every sentence of every answer is searched for the drugs of the patient's record
def find_drug_words(name: str) -> frozenset[str]:
    """Find the words that could name this drug or its class in an answer.

    ``name`` is as a record gives it, English ("Ibuprofen 200 MG Oral Tablet", "NSAID") or Chinese ("青霉素过敏").
    """
    plain = normalize_text(name)
    own = {w for w in re.findall(r"[a-z]{4,}", plain) if w not in _FORMS}
    for label, (_, members) in DRUG_CLASSES.items():
        words = {m.strip() for m in members}
        # one substance under many names, or an allergy that names the class itself ("NSAID")
        if (label in ("paracetamol", "aspirin") and own & words) or label in plain.split():
            own |= words
    if "nsaid" in plain or "非甾体" in plain or "anti-inflammatory" in plain:
        own |= {*DRUG_CLASSES["nsaid"][1], *_NSAID_ZH}
    for substance, others in NAMES.items():
        if substance in own or own & set(others) or any(o in plain for o in others if not o.isascii()):
            own |= {substance, *others}
    if own & _PENICILLINS:
        own |= {*_PENICILLINS, *NAMES["penicillin"]}
    return frozenset(own)
