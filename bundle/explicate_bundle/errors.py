"""What is wrong with a bundle."""


class BundleError(Exception):
    """A bundle cannot be trusted or understood; the message says what is wrong with which of its files."""
