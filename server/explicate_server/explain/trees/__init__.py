"""Exact Shapley values of sums of decision trees, from the trees themselves."""
