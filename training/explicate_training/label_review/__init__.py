"""Wrong labels: found by a simple model that did not see them, listed for a person, and taken back once reviewed."""
