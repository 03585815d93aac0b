"""By what a version serves, or does not, where this server requires a standard."""

from collections.abc import Sequence
from dataclasses import dataclass

from explicate_bundle.standard.gate import Unmet
from explicate_server.registry.required.overrides import Override

MET, WAIVED, OVERRIDDEN, RETURNED, NOT_MET = "met", "waived", "overridden", "returned", "not met"


@dataclass(frozen=True)
class Standing:
    """How a version meets the standard `name` of the server.

    Attributes:
        verdict: `MET`; `WAIVED`, but for what somebody answers for; `OVERRIDDEN`, it serves all the same; `RETURNED`,
            it is or was live; or `NOT_MET`, it is refused.
        unmet: what is not met, waived or not.
        override: by which it serves, if it does so by one.
    """

    name: str
    version: str
    sha256: str
    verdict: str
    unmet: tuple[Unmet, ...] = ()
    override: Override | None = None

    @property
    def failing(self) -> Sequence[Unmet]:
        """What is not met and not waived."""
        return [one for one in self.unmet if one.waiver is None]
