"""What the server writes on stderr: one line of text or one JSON object for each event, with its request id.

Inputs, tokens and options of callers are not logged; the interceptor logs whole requests only where the operator asked
for it.
"""

import json
import logging
import os
import time

from explicate_server.call_record import CallRecord, current_call
from explicate_server.telemetry.log_writer import QueuedHandler, stderr_that_never_blocks

FORMATS = ("text", "json")
CALLS = ("errors", "all")
# The server's own faults; for the others, the caller was told what to do.
_FAULTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
_log = logging.getLogger(__name__)


def configure(log_format: str, *, process: int | None = None) -> None:
    """Send everything from INFO on to stderr, as one of FORMATS. To be called before gRPC is imported.

    ``process`` is the number of this one where several serve as one; each of its lines tells it.
    """
    handler = QueuedHandler(stderr_that_never_blocks())
    # gRPC's C code writes lines of its own, one for each connection that breaks the protocol: any number, of strangers.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    handler.setFormatter(JsonFormatter(process) if log_format == "json" else TextFormatter(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def lost_lines() -> dict[str, int]:
    """Lines that the log does not have, by why: nobody read it, or many were alike."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, QueuedHandler)]
    return {
        "unread": sum(handler.dropped for handler in handlers),
        "alike": sum(handler.repeated for handler in handlers),
    }


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
    # A caller who fails a thousand times a second has some of the lines; a change of what is served has its own always.
    alike = None if record.change else (record.method, record.caller, code)
    _log.log(
        level,
        "%s from %s%s: %s in %.1f ms",
        *(record.method, record.caller, about, code, 1e3 * record.seconds),
        extra={"fields": fields, "alike": alike},
    )


class TextFormatter(logging.Formatter):
    """Time, level, logger, message and request id; a trace follows, indented.

    Nothing in a message or a trace can forge a line, turn the text around or give orders to a terminal.
    """

    def __init__(self, process: int | None = None) -> None:
        number = "" if process is None else f"process {process} "
        super().__init__(f"%(asctime)s %(levelname)s {number}%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end, and those of a trace."""
        call = current_call.get()
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        line = self.formatMessage(record) + (f" [{call.request_id}]" if call else "")
        trace = self.formatException(record.exc_info).split("\n") if record.exc_info else []
        return "\n    ".join(map(_visible, [line, *trace]))


def _visible(text: str) -> str:
    """The text with escapes for characters that show nothing themselves: controls, separators, marks of direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and what else is known of the event."""

    def __init__(self, process: int | None = None) -> None:
        super().__init__()
        self._process = {} if process is None else {"process": process}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        call = current_call.get()
        event = {
            "time": utc(record.created),
            "level": record.levelname,
            **self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **({"request_id": call.request_id} if call else {}),
            **getattr(record, "fields", {}),
            **({"trace": self.formatException(record.exc_info)} if record.exc_info else {}),
        }
        return json.dumps(event, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")


def utc(seconds: float) -> str:
    """A time since the epoch as RFC 3339 in UTC, to the microsecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1e6):06d}Z"
