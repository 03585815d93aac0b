"""Asking for many inputs at once: the window of calls in flight, the run of a call for each input, its thread."""
