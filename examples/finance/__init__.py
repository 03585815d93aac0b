"""The worked case of finance: `python -m examples.finance`."""
