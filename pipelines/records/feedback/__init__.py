"""Turn feedback on answers and on single facts into events, its texts de-identified."""
