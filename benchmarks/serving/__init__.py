"""How fast the endpoint is, against a stub language model of fixed latency and, in the same run, the LiteLLM proxy."""
