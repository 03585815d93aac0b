"""What is wrong with a bundle.

BundleError
└── SignatureError   it is not signed by the key, or signatures cannot be made or checked here
"""


class BundleError(Exception):
    """A bundle cannot be trusted or understood; the message says what is wrong with which of its files."""


class SignatureError(BundleError):
    """A bundle is not signed by the key, or cannot be signed; the message says which."""
