"""Signing of bundles with a private key, for servers that run with --verify-key."""

import os
from pathlib import Path
from types import ModuleType

from explicate_bundle.signatures import SIGNATURE_NAME
from explicate_export.errors import PublicationError, UsageError

PASSWORD_VARIABLE = "EXPLICATE_SIGN_KEY_PASSWORD"  # noqa: S105 - a name


def check_sign_key(private_key: Path) -> None:
    """Raises UsageError when nothing can be signed with that file: said before hours of work, not after."""
    _signing()
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key.read_bytes(), _password())
    except OSError as error:
        raise UsageError(f"cannot read {private_key}: {error.strerror} (--sign-key)") from None
    except (TypeError, ValueError):
        raise UsageError(
            f"{private_key} is no private key in PEM, or its password is not in {PASSWORD_VARIABLE} (--sign-key)"
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise UsageError(
            f"{private_key} is no key of an elliptic curve; "
            "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes one (--sign-key)"
        )


def sign_bundle(folder: Path, private_key: Path) -> None:
    """Writes the signature over every file of the folder into it. Raises PublicationError when that fails."""
    hashing, signing = _signing()
    signature = folder / SIGNATURE_NAME
    signature.unlink(missing_ok=True)
    rules = hashing.Config().use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
    rules.set_ignored_paths(paths=[SIGNATURE_NAME], ignore_git_paths=False)
    try:
        # Bytes: the package (1.1.1) says it takes a string, and hands it to one that takes bytes only.
        config = signing.Config().use_elliptic_key_signer(private_key=private_key, password=_password())
        config.set_hashing_config(rules).sign(folder, signature)
    except (OSError, TypeError, ValueError) as error:
        raise PublicationError(f"the bundle cannot be signed with {private_key}: {error}") from error


def _password() -> bytes | None:
    word = os.environ.get(PASSWORD_VARIABLE)
    return word.encode() if word else None


def _signing() -> tuple[ModuleType, ModuleType]:
    try:
        from model_signing import hashing, signing
    except ImportError:
        raise UsageError("--sign-key needs a package that is not installed: pip install 'explicate[signing]'") from None
    return hashing, signing
