"""The trajectory model's night: how it reads the event log, when it is trained anew, where it is kept."""
