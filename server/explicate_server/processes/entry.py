"""Where a process that serves a port with others begins."""

import asyncio
import logging
import socket
import sys

from explicate_server.processes.birth import read_birth
from explicate_server.telemetry.logs import configure


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
