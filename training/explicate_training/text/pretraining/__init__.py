"""Continued learning of the language from texts without labels."""
