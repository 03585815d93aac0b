"""Training on few labelled texts: pairs first, then a linear layer."""
