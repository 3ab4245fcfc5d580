"""The reward of a prompt: its terms, the scorers that measure them, and a cache."""
