"""Bearer tokens: a file with one line each, ``name  rights  sha256:hash``; the tokens themselves are nowhere.

A token is 256 random bits, so nobody can try them all, and one SHA-256 is as good as a slow hash: bcrypt and the like
exist for passwords, of which people choose few, and would cost every call tens of milliseconds.

Which right every RPC asks for: one table, so that an exposed port has no call that nobody thought of.

A call that is not in it asks for ADMIN, and a test fails as long as the running server has one.

What a few files say, read again when one of them changes.

Certificates and tokens are replaced while the server runs. A replacement that cannot be read leaves the last good one
in use, and the log says so once for each change.
"""

import hashlib
import hmac
import logging
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import ref

_T = TypeVar("_T")
# How long a changed file may go unnoticed.
LOOK_INTERVAL_S = 0.5


class Reloaded(Generic[_T]):
    """A value that follows its files. For any thread.

    A thread looks at them, so that a file on a disk that hangs holds up no call. It ends with this object.
    """

    def __init__(
        self, read: Callable[[], _T], paths: Sequence[Path], *, what: str, interval_s: float = LOOK_INTERVAL_S
    ) -> None:
        """Read once; ``what`` names the value in the log.

        Raises:
            OSError, ValueError: as ``read`` does; there is nothing older to fall back on.
        """
        self._read = read
        self._paths = paths
        self._what = what
        # Taken before reading: files that change meanwhile look changed the next time.
        self._seen = self._look()
        self._value = read()
        follow = threading.Thread(target=_follow, args=(ref(self), interval_s), name="follow files", daemon=True)
        follow.start()

    def value(self) -> _T:
        """The newest value that could be read."""
        return self._value

    def look(self) -> None:
        """Read again if a file has changed."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._reload()

    def _reload(self) -> None:
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            _log.error("%s changed and cannot be used, so the last good ones stay: %s", self._what, _cause(error))
        else:
            _log.info("%s changed and are in use", self._what)

    def _look(self) -> list[tuple[int, ...] | None]:
        return [_identity(path) for path in self._paths]


def _follow(reloaded: "ref[Reloaded[Any]]", interval_s: float) -> None:
    while True:
        time.sleep(interval_s)
        alive = reloaded()
        if alive is None:
            return
        alive.look()
        del alive  # while it sleeps nobody but its owner holds it


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()  # follows links: orchestrators swap one to replace a secret
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def _cause(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


_log = logging.getLogger(__name__)


def check_rights(path: Path, *, what: str) -> None:
    """Refuse a file that others may change; warn of one that others may read.

    A file that others may read is not refused: orchestrators mount secrets readable for a group.

    Raises:
        OSError: there is no such file.
        ValueError: it is not a plain file, or others than its owner may write it.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):  # to read a pipe would hold up the server for ever
        raise ValueError(f"{path} is not a plain file")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"{path} can be changed by others than its owner; chmod 600 it ({what})")
    if mode & stat.S_IROTH:
        _log.warning("%s can be read by everybody on this machine; chmod 600 it (%s)", path, what)


class Right(Enum):
    """What a token may do, in the words of the file of tokens."""

    PREDICT = "predict"
    EXPLAIN = "explain"
    ADMIN = "admin"
    OVERRIDE_STANDARD = "override-standard"
    """Lets a version serve that does not meet the standard of the server; the call itself asks for ADMIN besides."""


Need = frozenset[Right]
"""The rights of which one is enough; without any, the call is open to everybody."""

OPEN: Need = frozenset()
ANY_TOKEN: Need = frozenset(Right)
_PREDICT: Need = frozenset({Right.PREDICT})
_EXPLAIN: Need = frozenset({Right.EXPLAIN})
ADMIN: Need = frozenset({Right.ADMIN})
OVERRIDE: Need = frozenset({Right.OVERRIDE_STANDARD})

_INFERENCE = "explicate.v1.InferenceService"
_MODELS = "explicate.v1.ModelService"
_OPEN_INFERENCE = "inference.GRPCInferenceService"
NEEDS: Mapping[str, Need] = {
    f"{_INFERENCE}/Predict": _PREDICT,
    # An explanation holds the prediction as well, and costs hundreds of times more.
    f"{_INFERENCE}/Explain": _EXPLAIN,
    f"{_INFERENCE}/StreamExplain": _EXPLAIN,
    f"{_INFERENCE}/ExplainTable": _EXPLAIN,
    f"{_MODELS}/ListModels": ANY_TOKEN,
    f"{_MODELS}/GetModel": ANY_TOKEN,
    f"{_MODELS}/WatchModels": ANY_TOKEN,
    f"{_MODELS}/LoadModel": ADMIN,
    f"{_MODELS}/UnloadModel": ADMIN,
    f"{_MODELS}/ActivateVersion": ADMIN,
    f"{_MODELS}/RollbackModel": ADMIN,
    f"{_MODELS}/RemoveLabel": ADMIN,
    f"{_MODELS}/SetTraffic": ADMIN,
    # Each of their requests then needs what our own call needs that answers the same, which its outputs tell.
    f"{_OPEN_INFERENCE}/ModelInfer": _PREDICT | _EXPLAIN,
    f"{_OPEN_INFERENCE}/ModelStreamInfer": _PREDICT | _EXPLAIN,
    f"{_OPEN_INFERENCE}/ServerMetadata": ANY_TOKEN,
    f"{_OPEN_INFERENCE}/ModelMetadata": ANY_TOKEN,
    f"{_OPEN_INFERENCE}/ModelConfig": ANY_TOKEN,
    f"{_OPEN_INFERENCE}/ModelStatistics": ANY_TOKEN,
    f"{_OPEN_INFERENCE}/RepositoryIndex": ADMIN,
    f"{_OPEN_INFERENCE}/RepositoryModelLoad": ADMIN,
    f"{_OPEN_INFERENCE}/RepositoryModelUnload": ADMIN,
    # Orchestrators and balancers ask without a token, and learn the names of models they already know only.
    "grpc.health.v1.Health/Check": OPEN,
    "grpc.health.v1.Health/List": ANY_TOKEN,  # it names every model
    "grpc.health.v1.Health/Watch": OPEN,
    f"{_OPEN_INFERENCE}/ServerLive": OPEN,
    f"{_OPEN_INFERENCE}/ServerReady": OPEN,
    f"{_OPEN_INFERENCE}/ModelReady": OPEN,
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": ANY_TOKEN,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ANY_TOKEN,
}


def need(method: str) -> Need:
    """What a call asks for, by gRPC's name of its method, ``/package.Service/Method``."""
    return NEEDS.get(method.removeprefix("/"), ADMIN)


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
    check_rights(path, what="anybody who adds a line to the file of tokens has all rights")
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
        ValueError: a word is not a right.
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
        raise ValueError("the name is in an earlier line too")
    if not _HASH.fullmatch(hashed):
        raise ValueError("the hash is not sha256: and 64 hexadecimal digits")
    return Token(name, parse_rights(rights), bytes.fromhex(hashed.removeprefix(_SCHEME)))
