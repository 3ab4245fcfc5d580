"""Name the sample clinic's patient whom every example asks about.

Her haemoglobin fell from 13.3 to 10.5 g/dL during this pregnancy. A test proves that ``examples/clinic`` has her.
"""

ID = "bdacca5d-1037-4191-b7f6-d16734861f52"
REFERENCE = f"Patient/{ID}"
ASKED = f'{REFERENCE} "Is it normal to feel this tired?"'
