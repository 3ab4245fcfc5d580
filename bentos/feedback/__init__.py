"""What people say of an answer: ratings, preferences, clinicians' edits, comments, cards acted on or overridden."""
