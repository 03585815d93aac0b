"""Sampling of coalitions, regressions and intervals that the estimators share."""
