"""Metrics of a model's interpretability: one file each, one line each in `interpretability.py`."""
