"""Demonstrations from data to explanation: `python -m examples.demo`."""
