"""From a feature row to the hard prompt: candidate sentences, their ranking, their text."""
