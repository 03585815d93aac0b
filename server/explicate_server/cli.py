"""The command ``explicate serve``; ``explicate token`` comes along."""

import argparse
import logging

# No imports beyond the standard library here; settings.py imports nothing else either.
from explicate.errors import ExplicateError, UsageError
from explicate_server import token_command
from explicate_server.settings import SettingError, Settings, add_arguments, read_settings


class _ServeError(ExplicateError):
    """The server could not start."""


_DESCRIPTION = """\
Serve every model of a repository over gRPC: predictions, explanations, model listings, health and
reflection on one port.

Each bundle's digests are checked and its golden inputs answered before it serves; one that fails is named
in the log and by `explicate models`, and the others serve. Each model answers as soon as it is loaded. The
address is printed on stdout once all are.
The newest intact version of a model is live until `explicate models activate` chooses one; that choice is
kept in the repository, or below --state-dir, and nothing else is served in its place. With --model-control
watch new versions go live by themselves.
Where models are so small that Python is the limit (calls of a millisecond), --processes 2 serves the port
from two processes that look like one; connections are spread over them, not calls.
SIGTERM, SIGHUP or Ctrl-C finishes accepted calls, then exits with 0; a second one drops them.
"""
_EPILOG = """\
examples:
  explicate serve --repository repository
  explicate serve --repository repository --listen 0.0.0.0:8500 --tls-cert cert.pem --tls-key key.pem --tokens tokens
                                                                    open to other machines, with what that takes
  explicate serve --repository repository --processes 4
                                                                    small models, many connections, four cores
  EXPLICATE_REPOSITORY=/models explicate serve                      every flag is also an environment variable
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``serve`` and ``token`` to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="serve a repository of bundles over gRPC",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, extra="server")
    add_arguments(parser)
    token_command.register(subparsers)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; returns the exit code."""
    try:
        settings = read_settings(arguments)
        if settings.processes > 1:
            return _run_processes(settings)
    except SettingError as error:
        raise UsageError(str(error)) from None
    from explicate_server.telemetry.logs import configure

    configure(settings.log_format)
    from threadpoolctl import threadpool_limits

    from explicate_server.app import serve
    from explicate_server.lifetime import StartError
    from explicate_server.runtime.devices.device_kinds import DeviceUnavailable, place

    log = logging.getLogger("explicate_server")
    log.info("settings: %s; the others as in --help", settings.chosen())
    try:
        log.info("models run on %s", place(settings.device, runtime=settings.runtime))
    except DeviceUnavailable as error:
        _write_log()
        raise UsageError(str(error)) from None
    try:
        # The fits are small; BLAS threads would only take cores from the model, and sums would depend on their number.
        with threadpool_limits(limits=1, user_api="blas"):
            import asyncio

            return asyncio.run(serve(settings))
    except StartError as error:
        _write_log()
        raise _ServeError(str(error)) from None


def _run_processes(settings: Settings) -> int:
    """The same with several processes; the models are in theirs, not here."""
    from explicate_server.lifetime import StartError
    from explicate_server.processes.shares import check_processes
    from explicate_server.processes.supervisor import UnusableSetting, supervise
    from explicate_server.telemetry.logs import configure

    check_processes(settings)
    configure(settings.log_format)
    logging.getLogger("explicate_server").info("settings: %s; the others as in --help", settings.chosen())
    try:
        import asyncio

        return asyncio.run(supervise(settings))
    except UnusableSetting as error:
        _write_log()
        raise UsageError(str(error)) from None
    except StartError as error:
        _write_log()
        raise _ServeError(str(error)) from None


def _write_log() -> None:
    """Let the sentence that ends the command come behind the lines of the log, which another thread writes."""
    for handler in logging.getLogger().handlers:
        handler.flush()
