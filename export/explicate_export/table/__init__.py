"""Export of networks for tables."""
