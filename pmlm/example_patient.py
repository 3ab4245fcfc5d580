"""Name the sample clinic's patient whom every example asks about.

Her haemoglobin was 13.3 g/dL just before this pregnancy and is 10.7 now. A test proves that the sample has her.
"""

ID = "bdacca5d-1037-4191-b7f6-d16734861f52"
REFERENCE = f"Patient/{ID}"
ASKED = f'{REFERENCE} "Is it normal to feel this tired?"'
