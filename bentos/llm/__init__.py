"""The one client of language models that every surface of the endpoint uses.

Read ``upstreams`` (which models, in which order) → ``breaker`` → ``upstream_client`` (one request: attempts, failover,
deadline) → ``replies`` (what counts as a whole answer) → ``llm_client`` (the process's one set of upstreams, for async
and for blocking callers).
"""
