"""What is done to a model's answers once its weights are chosen: probabilities that are right, and what is decided."""
