"""Measured comparisons: each a ratio against a peer or the runtime's own limit, taken in one run, alternating."""
