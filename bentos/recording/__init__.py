"""Write what is recorded of requests; a store that does not answer delays none."""
