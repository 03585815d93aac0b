"""What a process that serves a port with others is told first; see `supervisor`."""

import argparse
import json
import socket
from dataclasses import dataclass

from explicate_server.settings import Settings, read_settings

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
