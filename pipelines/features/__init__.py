"""Build feature rows, write them to the online store, and inspect them."""
