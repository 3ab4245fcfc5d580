"""Row 9, and row 7 on new topics: what the refiner never saw in training.

``generalization`` has three ``build_rows``; ``external_finetune`` reads episodes by ``external``.
"""
