"""Sums of decision trees."""
