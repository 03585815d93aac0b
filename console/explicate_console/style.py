"""The style sheet that the page shares with reports and notebooks."""

from explicate.views.html import STYLE
from explicate.views.page_style import PAGE_STYLE


def style_sheet() -> str:
    """CSS: the colours, scales and marks of every view."""
    return "\n".join(sheet.replace("<style>", "").replace("</style>", "") for sheet in (PAGE_STYLE, STYLE))
