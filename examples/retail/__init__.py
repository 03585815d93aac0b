"""The worked case of retail: `python -m examples.retail`."""
