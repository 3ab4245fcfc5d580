"""Errors in one shape (RFC 9457), whichever app raises them."""
