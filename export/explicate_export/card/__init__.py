"""Sections of the model card: what a standard says, on whom it was tested, plain words, and maps to frameworks."""
