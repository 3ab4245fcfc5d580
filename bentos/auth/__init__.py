"""Who may ask about whom: tokens, scopes, limits and the record of every access."""
