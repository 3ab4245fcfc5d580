"""The four families of drift: what of a night is compared with the nights before it."""
