"""Asking the server again for the explanation of a record, by the rule of `explicate replay`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from secrets import token_hex
from typing import Any  # JSON, and gRPC's types for interceptors

import grpc
from google.protobuf import json_format

from explicate import AsyncClient
from explicate.audit import replaying
from explicate.audit.log_lines import AuditLine, input_of
from explicate.audit.replaying import Given, Verdict
from explicate.errors import ServerError, UsageError
from explicate.inputs import Input
from explicate_console.console_settings import ConsoleSettings

# A record's own limit is left out, so that the clock does not cut what it did not cut then.
_TIMEOUT_S = 300.0
# What the console adds where the log has digests only.
_WANTED = {
    "input": "The log has no inputs (--audit-inputs): give the one that was explained.",
    "baseline": "The log has the SHA-256 only of what the explanation was set against: give it.",
}
_NOT_HERE = (
    "This console asks the server at its address for administration (--admin-listen), where nothing is explained:"
    " replay by the command line, explicate replay, at the other one."
)


class RecordUnfitError(Exception):
    """A record that cannot be asked for again, or what was given for it is unfit; the message is a sentence."""


def line_of(text: bytes, fields: Mapping[str, Any]) -> AuditLine:
    """A line of the log for a replay; raises RecordUnfitError for what is no explanation of one input."""
    if "event" in fields:
        raise RecordUnfitError("This record tells what an operator did; there is no explanation to ask for again.")
    if "table_sha256" in fields:
        raise RecordUnfitError(
            "This is the explanation of a whole table, which cannot be replayed from here: explain its rows one by one."
        )
    try:
        return AuditLine.parse(0, text.decode("utf-8", "replace"))
    except UsageError as error:
        what = str(error).partition("(")[2].removesuffix(")") or str(error)
        raise RecordUnfitError(f"Something that a replay needs is not in this record ({what}).") from None


def wanted(line: AuditLine) -> dict[str, bool]:
    """What the user must give, because the log does not have it: the input, the baseline."""
    return {"input": line.input() is None, "baseline": bool(line.baseline_sha256)}


def given_of(document: Mapping[str, Any]) -> Given:
    """What the user gave, in the form in which the log has inputs; raises RecordUnfitError for what is none."""
    return Given(_input(document, "input"), _input(document, "baseline"))


def _input(document: Mapping[str, Any], name: str) -> Input | None:
    held = document.get(name)
    if held is None:
        return None
    try:
        value = input_of(held)
    except (KeyError, TypeError, ValueError):
        value = None
    texts = value if isinstance(value, tuple) else (value,)
    if value is None or any(isinstance(text, list | int | float | bool | None) for text in texts):
        raise RecordUnfitError(f'The {name} must have the form in which the log has inputs, such as {{"text": ...}}.')
    return value


async def replay(settings: ConsoleSettings, line: AuditLine, given: Given, *, token: str | None) -> dict[str, Any]:
    """Ask, and compare: the verdict, and the answer as protobuf's JSON where there is one.

    Raises RecordUnfitError where something must be given first, and `explicate.errors` for a call that failed for a
    reason that says nothing of the record.
    """
    for name, missing in wanted(line).items():
        if missing and getattr(given, "value" if name == "input" else name) is None:
            raise RecordUnfitError(_WANTED[name])
    asked = replaying.question(line, given)
    if isinstance(asked, Verdict):
        return _told(asked)
    kept = _KeptAnswer()
    client = AsyncClient(
        settings.server,
        tls=settings.tls,
        token=token,
        allow_plain_token=settings.allow_plain_token,
        timeout_s=_TIMEOUT_S,
        interceptors=[kept],
    )
    async with client:
        try:
            answer = await client.explain(
                line.model, asked.value, version=line.version, request_id=f"replay-{token_hex(8)}", **asked.options
            )
        except replaying.REFUSALS as error:
            return _told(replaying.refused(line, error))
        except ServerError as error:
            if error.code == "UNIMPLEMENTED":
                raise RecordUnfitError(_NOT_HERE) from None
            raise
    return _told(replaying.compared(line, answer)) | {"answer": kept.document}


def _told(verdict: Verdict) -> dict[str, Any]:
    held = asdict(verdict)
    difference = held.pop("largest_difference")
    finite = difference is not None and difference < float("inf")
    return {
        "verdict": held["verdict"],
        "what": held["what"],
        "repeated": verdict.verdict in replaying.REPEATED,
        "largestDifference": difference if finite else None,
    }


class _KeptAnswer(grpc.aio.UnaryUnaryClientInterceptor):
    """Keeps the message that the client makes its answer of: the page draws messages."""

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = None

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Pass the call on, and keep its answer."""
        call = await continuation(details, request)
        self.document = json_format.MessageToDict(await call)
        return call
