"""Which server, model and token count: what was given, else the environment, else a context, else this machine.

A context is a server with what belongs to it, so a server that is named otherwise has nothing of a context: a token is
never sent to another server than the one that it was written down for. The first of these that is there decides:

    server= (--server)          that server, no context
    context= (--context)        a context by its name
    EXPLICATE_SERVER            that server, no context
    EXPLICATE_CONTEXT           a context by its name
    current in the file         that context
    127.0.0.1:8500              no context

EXPLICATE_MODEL and EXPLICATE_TOKEN go before the context's own, and what a call gives goes before both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from explicate._wire.channel import DEFAULT_TARGET, Tls
from explicate.contexts.context_file import Context, ContextFile, context_path, read_contexts
from explicate.errors import UsageError

SERVER_VARIABLE = "EXPLICATE_SERVER"
CONTEXT_VARIABLE = "EXPLICATE_CONTEXT"
MODEL_VARIABLE = "EXPLICATE_MODEL"
TOKEN_VARIABLE = "EXPLICATE_TOKEN"  # noqa: S105 - a name


@dataclass(frozen=True)
class Chosen:
    """What a client needs to be made: `Client(chosen.server, tls=chosen.tls, token=chosen.token, ...)`.

    model: the model to ask where a call names none; None: the only one that is served.
    context: the context that this came from, if any.
    """

    server: str
    model: str | None
    tls: Tls | bool = False
    token: str | None = None
    allow_plain_token: bool = False
    context: str | None = None


def chosen(
    *,
    server: str | None = None,
    context: str | None = None,
    model: str | None = None,
    token_file: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Chosen:
    """What counts, by the order above. Raises UsageError for a broken file, an unknown context, a missing token."""
    name, found = _place(server, context, environ)
    return Chosen(
        server=found.server,
        model=model or environ.get(MODEL_VARIABLE) or found.model,
        tls=_tls(found),
        token=_token(token_file, name, found, environ),
        allow_plain_token=found.allow_plain_token,
        context=name,
    )


def context_name(context: str | None, environ: Mapping[str, str], file: ContextFile) -> str | None:
    """The context that counts where no server is named."""
    return context or environ.get(CONTEXT_VARIABLE) or file.current


def _place(server: str | None, context: str | None, environ: Mapping[str, str]) -> tuple[str | None, Context]:
    if server and context:
        raise UsageError("a server and a context were given; a context names its server: give one of them")
    if server := server or ("" if context else environ.get(SERVER_VARIABLE)):
        return None, Context(server)
    file = read_contexts(context_path(environ))
    name = context_name(context, environ, file)
    return name, Context(DEFAULT_TARGET) if name is None else file.context(name)


def _tls(context: Context) -> Tls | bool:
    keys = ("ca", "cert", "key", "server_name")
    given = {key: value for key in keys if (value := getattr(context, f"tls_{key}")) is not None}
    return Tls(**given) if given else context.tls


def _token(token_file: str | None, name: str | None, context: Context, environ: Mapping[str, str]) -> str | None:
    if token_file:
        return read_token(token_file)
    if token := environ.get(TOKEN_VARIABLE):
        return token
    if context.token_env and not environ.get(context.token_env):
        raise UsageError(f"the context {name} takes its token from the variable {context.token_env}, which is not set")
    if context.token_env:
        return environ[context.token_env]
    return read_token(context.token_file) if context.token_file else None


def read_token(path: str) -> str:
    """The token in a file; raises UsageError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {path}: {getattr(error, 'strerror', None) or error}") from None
