"""Reply drafts for a clinician, in sentences that the clinic has often written.

Read ``wordings`` (sentences without their numbers), ``fact_conditions`` (whose record a sentence fits), ``catalogue``
(what the clinic writes, learnt by night), ``learning`` (how) and ``drafting`` (a draft for one patient).
"""
