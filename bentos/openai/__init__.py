"""OpenAI's chat API in front of any language model; PMLM adds the patient.

``gateway`` is the story of one chat completion; its steps, in order: ``admission`` → ``chat_request`` → ``batcher`` →
``context_budget`` → (``bentos.llm``) → ``completions`` or ``sentence_buffer`` and ``chunk_stream`` → ``connection``.
"""
