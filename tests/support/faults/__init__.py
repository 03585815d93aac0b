"""Faults, mutations and soaks: what the fault tests and `make soak` share."""
