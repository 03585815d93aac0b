"""Signatures of bundles: whether whoever has the private key published exactly these files.

The format is that of sigstore's `model-signing`, which is an extra; its command line verifies the same signatures. The
signature covers every file of the folder, manifest.json with the model's name and version among them, so a signed
bundle cannot be shown as another version. It does not stop somebody from bringing back an older signed one.
"""

from pathlib import Path
from types import ModuleType

SIGNATURE_NAME = "model.sig"
_PEM_BEGIN = b"-----BEGIN PUBLIC KEY-----"


class SignatureError(Exception):
    """A bundle is not signed by the key, or signatures cannot be checked here; the message says which."""


def check_verify_key(public_key: Path) -> None:
    """See at the start that signatures can be checked.

    Raises:
        SignatureError: the package is missing, or the file is no public key.
    """
    _import()
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
        raise SignatureError(f"{public_key} is no public key of an elliptic curve in PEM")


def verify_signature(folder: Path, public_key: Path) -> None:
    """Check the signature over every file of a bundle. Reads them all.

    Raises:
        SignatureError: there is no signature, or it is not by this key over these files.
    """
    signature = folder / SIGNATURE_NAME
    if signature.is_symlink() or not signature.is_file():
        raise SignatureError(f"it is not signed ({SIGNATURE_NAME} is missing), and this server asks for signatures")
    hashing, verifying = _import()
    # Said here, not taken from the signature: all files, plainly, and no links.
    rules = hashing.Config().use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
    rules.set_ignored_paths(paths=[SIGNATURE_NAME], ignore_git_paths=False)
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(rules).verify(folder, signature)
    except Exception as error:  # a broken signature may fail anywhere in that package
        words = " ".join(str(error).split()) or type(error).__name__
        raise SignatureError(f"{SIGNATURE_NAME} is not by this server's key over these files: {words[:300]}") from None


def _import() -> tuple[ModuleType, ModuleType]:
    try:
        from model_signing import hashing, verifying
    except ImportError:
        raise SignatureError(
            "checking signatures needs a package that is not installed: pip install 'explicate[signing]'"
        ) from None
    return hashing, verifying
