"""CDS Hooks 2.0: an electronic health record calls a service in its workflow and gets cards."""
