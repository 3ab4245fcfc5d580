"""A synthetic patient's record: traits, pregnancies, problems, visits, measured signals."""
