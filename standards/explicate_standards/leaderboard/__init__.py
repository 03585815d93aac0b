"""Runs side by side: how good, how sure, how explainable, at what cost."""
