"""How fast the endpoint and the LiteLLM proxy are, against a stub model of fixed latency."""
