"""The clinic's trajectory model: read the log, train and store it, compute its features."""
