"""MCP: the endpoint as read-only tools that any agent can call."""
