"""Write the newest feature rows to the online store."""
