"""How explanations are described and drawn, one class for each kind of input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explicate.views.kinds.explained import Explained
from explicate.views.kinds.explained_image import ExplainedImage
from explicate.views.kinds.explained_row import ExplainedRow
from explicate.views.kinds.explained_text import ExplainedText

if TYPE_CHECKING:
    from explicate.results import ExplainResult

KINDS: tuple[type[Explained], ...] = (ExplainedRow, ExplainedImage, ExplainedText)
"""The first that explains a result is taken."""


def explained(result: ExplainResult) -> Explained:
    """The explanation as one of its kind of input."""
    return next(kind for kind in KINDS if kind.explains(result))(result)
