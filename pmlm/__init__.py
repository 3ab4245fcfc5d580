"""The public face of PMLM: the client, the command line, settings, errors, storage."""
