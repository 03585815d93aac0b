"""Parts of a model's description."""
