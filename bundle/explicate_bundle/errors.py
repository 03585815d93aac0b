"""What is wrong with a bundle, or with the standard that it is held to.

StandardError        a standard.toml, or a requirement in it, cannot be used
BundleError
├── UnreadableError  the disk does not give a file that is there, which may pass
└── SignatureError   it is not signed by the key, or signatures cannot be made or checked here
"""


class BundleError(Exception):
    """A bundle cannot be trusted or understood; the message says what is wrong with which of its files."""


class StandardError(Exception):
    """A standard cannot be read or makes no sense; the message names the file and the line, and says what to do."""


class UnreadableError(BundleError):
    """A file of a bundle is there and cannot be read now; the message says which and why."""


def unreadable(name: str, error: OSError) -> BundleError:
    """The error for a file that could not be read."""
    kind = BundleError if isinstance(error, FileNotFoundError) else UnreadableError
    return kind(f"{name} cannot be read: {error.strerror or error}")


class SignatureError(BundleError):
    """A bundle is not signed by the key, or cannot be signed; the message says which."""
