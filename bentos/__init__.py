"""The endpoint: HTTP around the method, served by BentoML.

Read ``service`` first: the routes that BentoML serves, the order of the middlewares, the mounted apps. Then, bottom up:

1. ``problems``      errors in one shape (RFC 9457)
2. ``auth``          tokens, scopes, rate limits, audit; ``telemetry``: logs, metrics, traces
3. ``llm``           the one client of language models: deadline, retries, failover, breakers
4. ``recording``     writes that delay nobody
5. ``personalizer``  from a question to a personalised answer, and its record
6. ``feedback``      ratings and edits of answers
7. ``openai``, ``web``, ``cds``, ``mcp``  the protocols, one mounted app each
8. ``http``          access, the native routes, the OpenAPI document

A request passes the layer for uncaught errors → load shedding → telemetry → CORS of the CDS services → access → body
limit and problems → native routes, then BentoML's routes or a mounted app.
"""
