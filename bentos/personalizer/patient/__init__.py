"""What is read of one patient: online features, events, a timeline."""
