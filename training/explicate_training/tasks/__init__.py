"""What a model predicts: a class, several labels, or a number."""
