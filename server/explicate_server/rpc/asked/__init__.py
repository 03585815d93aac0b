"""What a caller may ask of an explanation, and what it is told of that, as messages."""
