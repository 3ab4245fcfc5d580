"""What an operator sees of the endpoint: metrics, traces, logs. None knows a patient or a word that was said."""
