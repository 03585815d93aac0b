"""Bundles on disk, the versions in service, and leases on them."""
