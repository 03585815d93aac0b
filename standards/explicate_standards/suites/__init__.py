"""Starter suites: templates that people change for their own texts."""
