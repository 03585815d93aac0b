"""The training loop and its progress."""
