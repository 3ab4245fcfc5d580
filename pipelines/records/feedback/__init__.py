"""Turn feedback on answers into events, its texts de-identified."""
