"""What a final answer holds beside the attributions: each kind is a field here, made by a module of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What was asked for beside the attributions; a field is None where it was not asked for."""


NOTHING_ADDED = Additions()
