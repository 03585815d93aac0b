"""Which requests the canary version gets: a share of them, told from their inputs alone."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """What the version labelled "canary" gets of the requests that name no version; both in [0, 1].

    Attributes:
        canary_share: share that it answers.
        shadow_share: share of the others that it answers too, in the background.
    """

    canary_share: float = 0.0
    shadow_share: float = 0.0

    def __post_init__(self) -> None:
        for share in (self.canary_share, self.shadow_share):
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise ValueError(f"{share} is no share; give a number from 0 to 1")

    def answers(self, digest: bytes) -> bool:
        """Whether the canary answers the request with this SHA-256 of its inputs.

        A larger share takes the same requests and more.
        """
        return _fraction(digest[:8]) < self.canary_share

    def shadows(self, digest: bytes) -> bool:
        """Whether the canary answers it too, if it was not its to answer."""
        return _fraction(digest[8:16]) < self.shadow_share


NO_TRAFFIC = Traffic()


def _fraction(digest: bytes) -> float:
    """In [0, 1), uniform over digests."""
    return int.from_bytes(digest, "big") / 2.0 ** (8 * len(digest))
