"""What a caller may ask of an explanation, each kind of wish checked by itself."""
