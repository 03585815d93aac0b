"""`explicate mlflow push` and `pull`: bundles between a repository and MLflow's model registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_DESCRIPTION = """\
Keep bundles in MLflow's model registry: push one as a registered model version, pull one into a repository.

The artifact of a version is the folder of the bundle; nothing is pickled. After a pull the sizes and digests of all
files, what they hold and, with --verify-key, the signature are checked; only then the bundle is in the repository.
"""
_EPILOG = """\
MLflow is found as by MLflow itself (MLFLOW_TRACKING_URI), or by --tracking-uri.

examples:
  explicate mlflow push repository/reviews/3 --alias champion
  explicate mlflow pull models:/reviews@champion --repository repository
  explicate mlflow pull models:/reviews@champion --repository repository --activate --server models.internal:8500
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; imports nothing of MLflow."""
    parser = subparsers.add_parser(
        "mlflow",
        help="bundles to and from MLflow's model registry",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda _: _no_action(parser))
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    _add_push(actions.add_parser("push", help="put a bundle into the registry", description=_DESCRIPTION))
    _add_pull(actions.add_parser("pull", help="bring a version into a repository", description=_DESCRIPTION))


def _no_action(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return 2


def _add_push(push: argparse.ArgumentParser) -> None:
    push.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a bundle: REPOSITORY/MODEL/VERSION")
    push.add_argument("--name", metavar="NAME", help="registered model in MLflow (default: the bundle's own name)")
    push.add_argument("--alias", metavar="ALIAS", help="point this alias at the version, such as champion")
    _add_tracking(push)
    push.set_defaults(run=run_push, extra="mlflow")


def _add_pull(pull: argparse.ArgumentParser) -> None:
    from explicate.cli import connection

    pull.add_argument("reference", metavar="MODEL", help="models:/NAME@ALIAS, models:/NAME/3, or NAME for the newest")
    pull.add_argument(
        "--repository", metavar="DIR", type=Path, required=True, help="folder of bundles to bring it into"
    )
    pull.add_argument(
        "--verify-key", metavar="FILE", type=Path, help="public key (PEM) by whose private one it must be signed"
    )
    _add_tracking(pull)
    pull.add_argument(
        "--activate",
        action="store_true",
        help="then have the server, which serves this repository, point the label at it",
    )
    pull.add_argument("--label", metavar="LABEL", help="with --activate (default: the alias asked for, else live)")
    connection.add_server_options(pull, timeout_s=300.0)
    pull.set_defaults(run=run_pull, extra="mlflow")


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="such as http://mlflow.internal:5000 or sqlite:///mlflow.db (environment: MLFLOW_TRACKING_URI)",
    )


def run_push(arguments: argparse.Namespace) -> int:
    """Push, and print the version's URI."""
    from explicate_bundle.errors import BundleError
    from explicate_export.errors import PublicationError
    from explicate_export.mlflow.model_versions import push

    try:
        pushed = push(arguments.bundle, name=arguments.name, alias=arguments.alias, tracking_uri=arguments.tracking_uri)
    except BundleError as error:
        raise PublicationError(f"{arguments.bundle} is not a whole bundle: {error}") from error
    _say(f"{'pushed as' if pushed.is_new else 'was there already:'} version {pushed.version} of {pushed.name}")
    print(f"models:/{pushed.name}/{pushed.version}")
    return 0


def run_pull(arguments: argparse.Namespace) -> int:
    """Pull, print the folder, and with --activate have a server switch to it."""
    from explicate.errors import UsageError
    from explicate_bundle.errors import BundleError
    from explicate_bundle.signatures import check_verify_key
    from explicate_export.errors import PublicationError
    from explicate_export.mlflow.model_versions import pull

    if arguments.label and not arguments.activate:
        raise UsageError("--label needs --activate: labels are the server's")
    try:
        if arguments.verify_key is not None:
            check_verify_key(arguments.verify_key)
        pulled = pull(
            arguments.reference,
            arguments.repository,
            verify_key=arguments.verify_key,
            tracking_uri=arguments.tracking_uri,
        )
    except BundleError as error:
        raise PublicationError(f"{arguments.reference} is not published: {error}") from error
    _say(f"{'published' if pulled.is_new else 'was there already'}, digest {pulled.digest[:12]}…")
    print(pulled.folder)
    label = arguments.label or pulled.alias or "live"
    if arguments.activate:
        _activate(arguments, pulled.model, pulled.version, label)
    else:
        command = f"explicate models activate {pulled.model} {pulled.version}"
        _say(f"next: {command}{'' if label == 'live' else f' --label {label}'}")
    return 0


def _activate(arguments: argparse.Namespace, model: str, version: int, label: str) -> None:
    from explicate.cli import connection

    with connection.connect(arguments) as client:
        client.activate_version(model, version, label=label)
        _say(f"{label} of {model} is version {version} at {client.target}")


def _say(line: str) -> None:
    print(f"mlflow: {line}", file=sys.stderr, flush=True)
