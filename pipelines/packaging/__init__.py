"""Package the champion as a release with its bento, and serve it."""
