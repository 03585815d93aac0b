"""What a client asks with where a call does not say: `with_options` changes it, and each call is completed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from explicate._wire.calls import Metadata
from explicate._wire.channel import call_timeout
from explicate._wire.encoding import check_names
from explicate.errors import UsageError
from explicate.options import ClientOptions, ExplainOptions

_OF_THE_CALL = ("version", "label", "priority", "request_id", "timeout_s")
_EXPLAINS = ("explain", "stream_explain")
_VALUES = {"predict": "inputs", "explain_many": "inputs", "predict_table": "columns", "explain_table": "columns"}
_MISSING = (
    "name a model, or give the client one: with_options(model=…), or from_env() with EXPLICATE_MODEL or a context"
)
_OURS = {"authorization": "token=", "x-request-id": "request_id="}  # metadata that has a place of its own


@dataclass(frozen=True)
class Asked:
    """One call, completed: what it asks which model, and how."""

    model: str
    value: Any  # what the call is about
    how: Mapping[str, Any]
    options: ExplainOptions
    timeout_s: float | None


@dataclass(frozen=True)
class Defaults:
    """The defaults of a client. None in `how` and `options` is not kept."""

    timeout_s: float
    model: str | None = None
    token: Metadata = ()
    metadata: Metadata = ()
    how: Mapping[str, Any] = field(default_factory=dict)  # version, label and priority
    options: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, changes: ClientOptions) -> Defaults:
        """Others, with what is given; None brings back what the server does by itself. Raises UsageError."""
        check_names(changes, ClientOptions.__annotations__, "with_options")
        given = dict(changes)
        timeout_s = self.timeout_s if (said := given.pop("timeout_s", None)) is None else cast("float", said)
        call_timeout(timeout_s, timeout_s)  # raises where it cannot be one
        metadata = checked_metadata(given.pop("metadata")) if "metadata" in given else self.metadata
        model = cast("str | None", given.pop("model", self.model))
        if given.get("version") is not None and given.get("label") is not None:
            raise UsageError("give a version or a label, not both")
        kept = self._kept(given, model)
        return replace(
            self,
            timeout_s=timeout_s,
            model=model,
            metadata=metadata,
            how=_said({**kept, **{name: value for name, value in given.items() if name in _OF_THE_CALL}}),
            options=_said({**self.options, **{name: v for name, v in given.items() if name not in _OF_THE_CALL}}),
        )

    def asked(self, call: str, model: Any, value: Any, given: Mapping[str, Any], **less: Any) -> Asked:
        """A call completed: `call(model, value)`, or `call(value)` where there is a model to ask by default.

        given: the keywords of the call, which go before the defaults unless None. less: what goes behind them.
        Raises UsageError for a keyword that there is not, and where the model or the value is missing.
        """
        explains, what = call.startswith(_EXPLAINS), _VALUES.get(call, "value")
        check_names(given, [*_OF_THE_CALL, *(ExplainOptions.__annotations__ if explains else ())], call)
        if value is None and self.model is not None:
            model, value = None, model
        if value is None:
            raise UsageError(_MISSING if model is None else f"{call}(model, {what}): give both; {_MISSING}")
        if not isinstance(model, str | None):
            raise UsageError(f"{call}(model, {what}): the first is the model's name, not a {type(model).__name__}")
        said, chosen = _said(given), self.named(model)
        how = {"version": None, "label": None, "priority": None, "request_id": None, **less, **self._kept(said, chosen)}
        how |= {name: held for name, held in said.items() if name in _OF_THE_CALL}
        options = {**self.options, **{name: held for name, held in said.items() if name not in _OF_THE_CALL}}
        timeout_s = how.pop("timeout_s", None)
        return Asked(chosen, value, how, cast("ExplainOptions", options), timeout_s)

    def named(self, model: str | None) -> str:
        """A model's name, or that of the default; raises UsageError where neither is there."""
        if model is None and self.model is None:
            raise UsageError(_MISSING)
        return cast("str", self.model if model is None else model)

    def version_of(self, model: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The version or label that is asked for of a model."""
        kept = {**self._kept(_said(given), model), **_said(given)}
        return {"version": kept.get("version"), "label": kept.get("label")}

    def _kept(self, given: Mapping[str, Any], model: str | None) -> dict[str, Any]:
        """What of `how` still counts: a version and a label belong to the model, and one of them is enough."""
        if self.model in (None, model) and not {"version", "label"} & given.keys():
            return dict(self.how)
        return {name: value for name, value in self.how.items() if name not in ("version", "label")}


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def checked_metadata(metadata: object) -> Metadata:
    """Metadata of a caller's own for every call; raises UsageError for what gRPC or we keep for ourselves."""
    if metadata is None:
        return ()
    if not isinstance(metadata, Mapping):
        raise UsageError(f"metadata must be a dict from names to texts, not a {type(metadata).__name__}")
    return tuple((_checked_key(key), _checked_value(key, value)) for key, value in metadata.items())


def _checked_key(key: object) -> str:
    if not isinstance(key, str) or not key or not all(c.islower() or c.isdecimal() or c in "-_." for c in key):
        raise UsageError(f"metadata: {key!r} is not a name; they are of small letters, digits, - _ and .")
    if not key.isascii() or key.startswith(("grpc-", "x-explicate-")):
        raise UsageError(f"metadata: {key!r} is a name that is not free")
    if key in _OURS:
        raise UsageError(f"metadata: give {_OURS[key]} in place of {key!r}")
    return key


def _checked_value(key: str, value: object) -> str | bytes:
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise UsageError(f"metadata[{key}] must be bytes, as its name ends with -bin")
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise UsageError(
            f"metadata[{key}] must be a text of printable ASCII; bytes go under a name that ends with -bin"
        )
    return value
