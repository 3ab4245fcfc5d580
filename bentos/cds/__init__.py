"""CDS Hooks 2.0: an electronic health record calls a service and gets cards."""
