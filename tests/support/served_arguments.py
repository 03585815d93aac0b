"""What the command lines in deploy/ mean to the real command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from explicate.cli.main import build_parser
from explicate_server.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def served_settings(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a server that is started with `command`, which begins with "serve"."""
    assert command[0] == "serve"
    arguments = build_parser().parse_args(list(command))
    assert arguments.run.__module__ == "explicate_server.cli"
    return read_settings(arguments, environment or {})
