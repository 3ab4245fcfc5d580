"""What published guidance names for the concerns of questions."""
