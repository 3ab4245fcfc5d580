"""Which fields of a language model's answer may be shown."""
