"""Signatures of bundles: whether the owner of the private key published exactly these files.

The format is that of sigstore's `model-signing`, which is an extra; its command line verifies the same signatures. The
signature covers every file of the folder, manifest.json with the model's name and version among them, so a signed
bundle cannot be shown as another version. It does not stop somebody from bringing back an older signed one.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any  # the package has no types

from explicate_bundle.errors import SignatureError
from explicate_bundle.writing import SIGNATURE_NAME

PASSWORD_VARIABLE = "EXPLICATE_SIGN_KEY_PASSWORD"  # noqa: S105 - a name
_PEM_BEGIN = b"-----BEGIN PUBLIC KEY-----"


def check_verify_key(public_key: Path) -> None:
    """See at the start that signatures can be checked.

    Raises:
        SignatureError: the package is missing, or the file is not a public key.
    """
    _tool("verifying")
    if public_key.exists() and not public_key.is_file():  # to read a pipe would hold up the server for ever
        raise SignatureError(f"{public_key} is not a plain file")
    try:
        content = public_key.read_bytes()
    except OSError as error:
        raise SignatureError(f"cannot read {public_key}: {error.strerror}") from None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        fits = _PEM_BEGIN in content and isinstance(load_pem_public_key(content), EllipticCurvePublicKey)
    except (ValueError, UnsupportedAlgorithm):
        fits = False
    if not fits:
        raise SignatureError(f"{public_key} is not a public key of an elliptic curve in PEM")


def verify_signature(folder: Path, public_key: Path) -> None:
    """Check the signature over every file of a bundle. Reads them all.

    Raises:
        SignatureError: there is no signature, or it is not by this key over these files.
    """
    signature = folder / SIGNATURE_NAME
    if signature.is_symlink() or not signature.is_file():
        raise SignatureError(f"it is not signed ({SIGNATURE_NAME} is missing), and this server asks for signatures")
    rules = _rules()
    try:
        config = _tool("verifying").Config().use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(rules).verify(folder, signature)
    except Exception as error:  # a broken signature may fail anywhere in that package
        words = " ".join(str(error).split()) or type(error).__name__
        raise SignatureError(f"{SIGNATURE_NAME} is not by this server's key over these files: {words[:300]}") from None


def check_sign_key(private_key: Path) -> None:
    """See before hours of work that bundles can be signed with a key.

    Raises:
        SignatureError: the package is missing, or the file is not a private key that can be used.
    """
    _tool("signing")
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key.read_bytes(), _password())
    except OSError as error:
        raise SignatureError(f"cannot read {private_key}: {error.strerror}") from None
    except (TypeError, ValueError):
        raise SignatureError(
            f"{private_key} is not a private key in PEM, or its password is not in {PASSWORD_VARIABLE}"
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise SignatureError(
            f"{private_key} is not a key of an elliptic curve; "
            "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes one"
        )


def sign_bundle(folder: Path, private_key: Path) -> None:
    """Write the signature over every file of the folder into it.

    Raises:
        SignatureError: that fails.
    """
    signature = folder / SIGNATURE_NAME
    signature.unlink(missing_ok=True)
    rules = _rules()
    try:
        # Bytes: the package (1.1.1) says it takes a string, and hands it to one that takes bytes only.
        config = _tool("signing").Config().use_elliptic_key_signer(private_key=private_key, password=_password())
        config.set_hashing_config(rules).sign(folder, signature)
    except (OSError, TypeError, ValueError) as error:
        raise SignatureError(f"the bundle cannot be signed with {private_key}: {error}") from error


def _rules() -> Any:
    """What is signed, said here and not taken from a signature: all files, plainly, and no links."""
    rules = _tool("hashing").Config().use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
    rules.set_ignored_paths(paths=[SIGNATURE_NAME], ignore_git_paths=False)
    return rules


def _password() -> bytes | None:
    word = os.environ.get(PASSWORD_VARIABLE)
    return word.encode() if word else None


def _tool(name: str) -> Any:
    """A module of the package, imported when it is used: the package takes a second, and most never need it."""
    try:
        return import_module(f"model_signing.{name}")
    except ImportError:
        raise SignatureError(
            "checking and making signatures needs a package that is not installed: pip install 'explicate[signing]'"
        ) from None
