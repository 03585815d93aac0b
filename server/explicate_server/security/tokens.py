"""Bearer tokens: a file with one line each, ``name  rights  sha256:hash``; the tokens themselves are nowhere.

A token is 256 random bits, so nobody can try them all, and one SHA-256 is as good as a slow hash: bcrypt and the like
exist for passwords, of which people choose few, and would cost every call tens of milliseconds.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explicate_server.security.rights import Right
from explicate_server.security.secret_files import check_rights

TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX = "explicate_"  # so that scanners of repositories and logs can find one that leaked
_RANDOM_BYTES = 32
_SCHEME = "sha256:"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_BYTES = 1 << 20
MOST_TOKENS = 1024  # each call is compared with all of them, 0.2 µs each


@dataclass(frozen=True)
class Token:
    """What is known of a token.

    Attributes:
        name: who uses it; in logs, metrics of callers and limits.
        rights: what it may do.
        digest: SHA-256 of the token.
    """

    name: str
    rights: frozenset[Right]
    digest: bytes


def new_token() -> str:
    """A token of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def digest_of(token: str) -> bytes:
    """SHA-256 of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def line_of(token: Token) -> str:
    """A token's line in the file."""
    rights = ",".join(right.value for right in Right if right in token.rights)
    return f"{token.name}  {rights}  {_SCHEME}{token.digest.hex()}"


def find_token(tokens: Sequence[Token], presented: str) -> Token | None:
    """The entry of a presented token. Compares with every entry in constant time, so the time tells nothing."""
    digest, found = digest_of(presented), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: others may change it, or a line is not in the format; the message has the line's number, not its
            text.
    """
    check_rights(path, what="whoever adds a line to the file of tokens has all rights")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} is larger than {_MOST_BYTES:,} bytes")
    try:
        tokens = tuple(_parse(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if len(tokens) > MOST_TOKENS:
        raise ValueError(f"{path} has {len(tokens):,} tokens; at most {MOST_TOKENS:,} are allowed")
    return tokens


def parse_rights(words: str) -> frozenset[Right]:
    """Rights as they are written, such as ``predict,explain``.

    Raises:
        ValueError: a word is no right.
    """
    known = {right.value: right for right in Right}
    wanted = [word.strip() for word in words.split(",")]
    if not set(wanted) <= set(known):
        raise ValueError(f"rights are some of {', '.join(known)}, with commas between them")
    return frozenset(known[word] for word in wanted)


def _parse(text: str) -> Iterator[Token]:
    names: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            yield _token(words, names)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        names.add(words[0])


def _token(words: Sequence[str], taken: Collection[str]) -> Token:
    if len(words) != 3:
        raise ValueError("is not `name  rights  sha256:hash`; `explicate token create` writes such lines")
    name, rights, hashed = words
    if not TOKEN_NAME.fullmatch(name):
        raise ValueError("the name may have letters, digits, '.', '_' and '-', 64 at most")
    if name in taken:
        raise ValueError("the name stands in an earlier line as well")
    if not _HASH.fullmatch(hashed):
        raise ValueError("the hash is not sha256: and 64 hexadecimal digits")
    return Token(name, parse_rights(rights), bytes.fromhex(hashed.removeprefix(_SCHEME)))
