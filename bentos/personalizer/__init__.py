"""From a request to a personalised answer, and the record of how it came about."""
