"""Training of networks for tables."""
