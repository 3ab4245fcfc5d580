"""Go on to another release while the endpoint answers."""
