"""Wishes of an explanation between the wire and the domain: each larger one a module."""
