"""Take feedback on answers into the event log, its texts de-identified."""
