"""What makes a model easier to explain: the terms of `[interpretability]`, and where they meet the training loop."""
