"""A chat: its request, its whole answer, and errors, in OpenAI's shape."""
