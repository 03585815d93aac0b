"""Devices beside the CPU: one file for each kind, one line in ``device_kinds``."""
