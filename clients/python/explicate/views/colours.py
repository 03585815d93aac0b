"""The two hues of every view: orange raises the output, blue lowers it.

The ends of ColorBrewer's PuOr and RdBu scales, told apart with every common kind of colour blindness.
"""

from __future__ import annotations

import math

RAISES_RGB = (230, 97, 1)
LOWERS_RGB = (33, 102, 172)
_MAX_OPACITY = 0.55


def translucent(strength: float) -> str:
    """The CSS colour for a value in [-1, 1], 0 and NaN being transparent; text on it keeps its own colour legible."""
    if math.isnan(strength):
        return "transparent"
    red, green, blue = RAISES_RGB if strength > 0 else LOWERS_RGB
    return f"rgba({red},{green},{blue},{min(abs(strength), 1.0) * _MAX_OPACITY:.3f})"
