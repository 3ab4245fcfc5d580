"""The catalogue of the clinic's sentences, from which replies are drafted for clinicians."""
