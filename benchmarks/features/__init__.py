"""How fast features are built, kept up, served and how fast peers are found, with each baseline in the same run."""
