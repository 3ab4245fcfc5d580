"""Show an answer as a stream: sentence by sentence, each checked, until a deadline."""
