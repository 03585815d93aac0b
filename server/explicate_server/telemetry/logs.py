"""What the server writes on stderr: one line of text or one JSON object for each event, with its request id.

Inputs, tokens and options of callers are not logged; the interceptor logs whole requests only where the operator asked
for it.
"""

import json
import logging
import os
import sys
import time

from explicate_server.call_record import CallRecord, current_call

FORMATS = ("text", "json")
CALLS = ("errors", "all")
# The server's own faults; for the others, the caller was told what to do.
_FAULTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
_log = logging.getLogger(__name__)


def configure(log_format: str) -> None:
    """Send everything from INFO on to stderr, as one of FORMATS. For JSON it comes before gRPC is imported."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":  # gRPC's C code writes lines of its own, one for each connection that fails at TLS
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def log_call(record: CallRecord, code: str) -> None:
    """One line for a call that ended with the status ``code``."""
    level = logging.ERROR if code in _FAULTS else logging.INFO if code == "OK" else logging.WARNING
    fields = {
        "method": record.method,
        "code": code,
        "seconds": round(record.seconds, 6),
        "caller": record.caller,
        "model": record.model,
        "version": record.version,
        **({"change": record.change} if record.change else {}),
    }
    about = f" by {record.model}/{record.version}" if record.model else f" ({record.change})" if record.change else ""
    _log.log(
        level,
        "%s from %s%s: %s in %.1f ms",
        *(record.method, record.caller, about, code, 1e3 * record.seconds),
        extra={"fields": fields},
    )


class TextFormatter(logging.Formatter):
    """Time, level, logger, message and request id; a line break in a message cannot forge another line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging names it
        """The first line; a trace follows it."""
        call = current_call.get()
        line = super().formatMessage(record) + (f" [{call.request_id}]" if call else "")
        return line.replace("\r", "\\r").replace("\n", "\\n")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and what else is known of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        call = current_call.get()
        event = {
            "time": utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **({"request_id": call.request_id} if call else {}),
            **getattr(record, "fields", {}),
            **({"trace": self.formatException(record.exc_info)} if record.exc_info else {}),
        }
        return json.dumps(event, ensure_ascii=True, default=str)


def utc(seconds: float) -> str:
    """A time since the epoch as RFC 3339 in UTC, to the microsecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1e6):06d}Z"
