"""The file of named contexts, `~/.config/explicate/config.toml`: a server each, with what belongs to it.

    current = "staging"

    [contexts.staging]
    server = "models.internal:8500"
    model = "reviews"
    tls_ca = "ca.pem"
    token_file = "~/.secrets/explicate"

Paths are from the file's folder, and may begin with ~. A token itself is not written here, only where it is: in a file
(token_file) or in a variable of the environment (token_env). $XDG_CONFIG_HOME takes the place of ~/.config.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from explicate.errors import UsageError
from explicate.reading.nearest import did_you_mean

_BOM = "\ufeff"  # what some editors of Windows put first
_PATHS = ("tls_ca", "tls_cert", "tls_key", "token_file")
_HEADER = "# Written by `explicate context`, which keeps no comments. Keys: explicate context set --help\n"


@dataclass(frozen=True)
class Context:
    """One server and what belongs to it; the fields are the keys of its section.

    server: a gRPC target, such as "models.internal:8500".
    model: the model to ask where a call names none.
    tls, tls_ca, tls_cert, tls_key, tls_server_name: as in `explicate.Tls`; tls alone takes the usual certificates.
    token_file, token_env: where the token is; at most one of them.
    allow_plain_token: send the token unencrypted to another machine too.
    """

    server: str
    model: str | None = None
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_server_name: str | None = None
    token_file: str | None = None
    token_env: str | None = None
    allow_plain_token: bool = False

    def given(self) -> dict[str, str | bool]:
        """The keys that say something, in their order."""
        return {name: value for name, value in asdict(self).items() if value is not None and value is not False}


KEYS = tuple(each.name for each in fields(Context))
_SWITCHES = ("tls", "allow_plain_token")


@dataclass(frozen=True)
class ContextFile:
    """What a file of contexts holds.

    current: the context that counts where none is named.
    contexts: by name, in the file's order.
    """

    path: Path | None
    current: str | None = None
    contexts: Mapping[str, Context] = field(default_factory=dict)

    def context(self, name: str) -> Context:
        """One by name, its paths made absolute; raises UsageError with the nearest names if there is none."""
        if name not in self.contexts:
            raise UsageError(f"there is no context {name!r}{self._others(name)}")
        found = self.contexts[name]
        paths = {key: self._absolute(value) for key in _PATHS if (value := getattr(found, key)) is not None}
        return replace(found, **paths)  # type: ignore[arg-type]  # of mypy: these keys hold texts

    def _others(self, name: str) -> str:
        if not self.contexts:
            return f": {self.path or 'the file of contexts'} has none; explicate context set {name} --server HOST:PORT"
        return did_you_mean(name, self.contexts) or f"; {self.path} has {', '.join(self.contexts)}"

    def _absolute(self, value: str) -> str:
        try:
            path = Path(value).expanduser()
        except RuntimeError:  # no home
            raise UsageError(f"{self.path} names {value}, and there is no home directory") from None
        return str(path if self.path is None else self.path.parent / path)


def context_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the file is, whether it exists or not; None on a machine without a home directory."""
    folder = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not folder.is_absolute():  # the XDG specification has relative ones left alone
        try:
            folder = Path.home() / ".config"
        except RuntimeError:
            return None
    return folder / "explicate" / "config.toml"


def read_contexts(path: Path | None) -> ContextFile:
    """The contexts of a file; none if there is no such file. Raises UsageError that names the file and the line."""
    if path is None:
        return ContextFile(None)
    import tomllib

    try:
        text = path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ContextFile(path)
    except OSError as error:
        # A container's user often may not even look into the home that it was given.
        if isinstance(error, PermissionError) and not os.access(path.parent, os.X_OK):
            return ContextFile(path)
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text in UTF-8; save it as UTF-8") from None
    try:
        return _parsed(path, tomllib.loads(text.removeprefix(_BOM)))
    except tomllib.TOMLDecodeError as error:  # its text ends with the line and the column
        raise UsageError(f"{path} is not valid TOML: {error}") from None


def _parsed(path: Path, document: Mapping[str, object]) -> ContextFile:
    _check_keys(path, document, ("current", "contexts"), "")
    current, sections = document.get("current"), document.get("contexts", {})
    if not isinstance(current, str | None):
        raise UsageError(f"{path}: current must be the name of a context in quotes")
    if not isinstance(sections, dict) or not all(isinstance(each, dict) for each in sections.values()):
        raise UsageError(f"{path}: contexts must be sections, such as [contexts.local]")
    return ContextFile(path, current, {name: _context(path, name, keys) for name, keys in sections.items()})


def _context(path: Path, name: str, keys: Mapping[str, object]) -> Context:
    place = f"[contexts.{name}] "
    if "token" in keys:
        raise UsageError(f"{path}: {place}holds a token itself; keep it in a file, and name it with token_file")
    _check_keys(path, keys, KEYS, place)
    for key, value in keys.items():
        wanted, told = (bool, "true or false") if key in _SWITCHES else (str, "a text in quotes")
        if not isinstance(value, wanted):
            raise UsageError(f"{path}: {place}{key} must be {told}")
    if not keys.get("server"):
        raise UsageError(f'{path}: {place}needs a server, such as server = "127.0.0.1:8500"')
    if "token_file" in keys and "token_env" in keys:
        raise UsageError(f"{path}: {place}has token_file and token_env; keep one")
    return Context(**keys)  # type: ignore[arg-type]  # checked above


def _check_keys(path: Path, found: Mapping[str, object], known: tuple[str, ...], place: str) -> None:
    for key in found:
        if key not in known:
            hint = did_you_mean(key, known, most=1) or f"; the keys are {', '.join(known)}"
            raise UsageError(f"{path}: {place}{key} is not a key{hint}")


def write_contexts(file: ContextFile) -> None:
    """Put a file of contexts in place, whole or not at all, readable by its owner only."""
    if file.path is None:
        raise UsageError("there is no home directory for the file of contexts; set XDG_CONFIG_HOME or HOME")
    import tempfile

    text = _toml(file)
    path = Path(os.path.realpath(file.path))  # a link to the file of somebody's dotfiles stays one
    temporary = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as written:
            written.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink()
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _toml(file: ContextFile) -> str:
    lines = [_HEADER]
    if file.current is not None:
        lines.append(f"current = {_quoted(file.current)}\n")
    for name, context in file.contexts.items():
        lines.append(f"\n[contexts.{_quoted(name)}]\n")
        lines += [f"{key} = {'true' if value is True else _quoted(value)}\n" for key, value in context.given().items()]
    return "".join(lines)


_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')


def _quoted(value: str | bool) -> str:
    """A basic string of TOML 1.0."""
    text = str(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} is not a text in UTF-8") from None
    return '"' + _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + '"'
