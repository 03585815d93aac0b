"""Edited copies of training texts."""
