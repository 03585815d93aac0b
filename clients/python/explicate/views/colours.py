"""The two hues of every view: orange raises the output, blue lowers it.

They are the ends of ColorBrewer's PuOr and RdBu scales, told apart with every common kind of colour blindness.
"""

from __future__ import annotations

import math

RAISES_RGB = (230, 97, 1)
LOWERS_RGB = (33, 102, 172)
OVERLAY_OPACITY = 0.72  # of the strongest segment, through which what is below is still seen
_BEHIND_TEXT_OPACITY = 0.55


def translucent(strength: float, most: float = _BEHIND_TEXT_OPACITY) -> str:
    """The CSS colour for a value in [-1, 1], 0 and NaN being transparent; text on it keeps its own colour legible.

    most: the opacity of the strongest.
    """
    if math.isnan(strength):
        return "transparent"
    red, green, blue = RAISES_RGB if strength > 0 else LOWERS_RGB
    return f"rgba({red},{green},{blue},{min(abs(strength), 1.0) * most:.3f})"
