"""Episodes: questions, replies, and what was known when the question was asked."""
