"""The clinic's trajectory model: read the log for it, train and store it, compute its features."""
