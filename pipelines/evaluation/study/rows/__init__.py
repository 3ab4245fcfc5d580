"""One file per row of the method's table."""
