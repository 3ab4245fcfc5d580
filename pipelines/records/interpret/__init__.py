"""What a record means: whose content it is, and how certain."""
