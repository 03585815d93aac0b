"""The worked case of health: `python -m examples.health`."""
