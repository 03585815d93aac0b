"""Observers of calls: audit log, metrics, logs. Nothing below imports them."""
