"""OpenAI's APIs in front of any language model; PMLM adds the patient.

``gateway`` is the story of one answer, a chat's or a response's (``surfaces``); its steps, in order: ``admission`` →
``chat`` or ``responses`` → ``batcher`` → ``context_budget`` → (``bentos.llm``) → ``chat.completions`` or ``streaming``.
"""
