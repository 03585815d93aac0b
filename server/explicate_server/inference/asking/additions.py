"""What a final answer holds beside the attributions: each kind is a field here, made by a module of its own."""

from dataclasses import dataclass

from explicate_server.inference.changed.decided import ChangeFound


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What was asked for beside the attributions; a field is None where it was not asked for."""

    change: ChangeFound | None = None


NOTHING_ADDED = Additions()
