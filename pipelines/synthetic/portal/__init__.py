"""The synthetic clinic's portal: questions, rule-based clinician replies, ratings."""
