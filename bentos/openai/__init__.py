"""OpenAI's chat API in front of any language model: the application changes one URL, PMLM adds the patient."""
