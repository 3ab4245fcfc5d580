"""The triage of messages from the command line: running it over a file, measuring it, fitting its classifier."""
