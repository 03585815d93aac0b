"""Where a process that serves a port with others begins, and what it is told first; see `supervisor`."""

import argparse
import asyncio
import json
import logging
import socket
import sys
from dataclasses import dataclass

from explicate_server.settings import Settings, read_settings
from explicate_server.telemetry.logs import configure

# -P: what lies in the folder that the server was started in is not to be imported.
COMMAND = (sys.executable, "-P", "-c", "from explicate_server.processes.entry import main; main()")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Birth:
    """What a process is told as it begins.

    Attributes:
        number: counted from 1.
        joins: whether others serve already; else all start together.
        settings: of this process, with its share of the limits.
    """

    number: int
    joins: bool
    settings: Settings

    @property
    def leads(self) -> bool:
        """Whether it decides at the start which models can be served."""
        return self.number == 1 and not self.joins

    def line(self) -> bytes:
        """As it is sent."""
        texts = {name: str(value) for name, value in vars(self.settings).items()}
        return json.dumps({"number": self.number, "joins": self.joins, "settings": texts}).encode("ascii") + b"\n"


def read_birth(end: socket.socket) -> Birth | None:
    """The first line of the channel, behind which nothing comes unasked; None where nobody is there any more."""
    line = b""
    while not line.endswith(b"\n"):
        read = end.recv(_MOST_BYTES)
        if not read:
            return None
        line += read
    document = json.loads(line)
    settings = read_settings(argparse.Namespace(**document["settings"]), {})
    return Birth(document["number"], document["joins"], settings)


def main() -> None:
    """Serve until told to end."""
    end = socket.socket(fileno=int(sys.argv[1]))
    birth = read_birth(end)
    if birth is None:
        sys.exit(1)
    configure(birth.settings.log_format, process=birth.number)
    from threadpoolctl import threadpool_limits

    from explicate_server.processes.worker import Worker

    with threadpool_limits(limits=1, user_api="blas"):  # as in `explicate serve`
        code = asyncio.run(Worker(birth, end).serve())
    logging.shutdown()
    sys.exit(code)
