"""A drawing as a part of a page: in the page's colours, light or dark, and in its letters.

What draws, matplotlib or our own code, draws with the light colours of the palette, so that a file is right wherever
it is shown. Here each of them becomes the custom property of the page's style sheet that has its name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from html import escape

from explicate.views.look.palette import LIGHT

_SHRINKS_TO = 0.8  # of its own width, before it scrolls: the smallest letters, of 10.7 px, are read at 8.5
_FITS_PX = 300  # what every telephone has room for
_PX = {"": 1.0, "px": 1.0, "pt": 4 / 3}

_NAMES = {colour: name.replace("_", "-") for name, colour in asdict(LIGHT).items()}
_TAG = re.compile(r"<[^>]*>")
_PAINT = re.compile(r'(?<=["; ])(fill|stroke|color)(: ?|=")(#[0-9a-fA-F]{6})\b')
_ROOT = re.compile(r"<svg\b[^>]*>")
_SIZE = re.compile(r'\b(width|height)="([\d.]+)(px|pt|)"')
_BOX = re.compile(r'\bviewBox="([^"]*)"')
_ID, _USED = re.compile(r' id="([^"]*)"'), re.compile(r'(?:url\(|href=")#([^")]+)')
# What matplotlib says once for all of a file, and what would be said of the whole page: who made it, the rules and the
# fonts of its letters.
_OF_A_FILE = re.compile(r"(?s)<metadata>.*?</metadata>|<defs>\s*<style\b.*?</style>\s*</defs>|<!--.*?-->")
_FONT = re.compile(r"font-family: [^;\"]*;? ?")


def inlined(svg: str, about: str) -> str:
    """A figure for a page that has the style sheet; "" of "".

    Args:
        svg: the drawing as a file.
        about: what it shows, for those who do not see it.
    """
    if not svg:
        return ""
    root = _ROOT.search(svg)
    assert root, "a drawing is an SVG"
    sizes = {name: float(size) * _PX[unit] for name, size, unit in _SIZE.findall(root[0])}
    box = _BOX.search(root[0])
    assert box, "a drawing has a viewBox"
    least = round(_SHRINKS_TO * sizes["width"])
    scrolls = ' tabindex="0"' if least > _FITS_PX else ""
    return (
        f'<figure class="wide"{scrolls}><svg class="drawing" role="img" aria-label="{escape(about)}" '
        f'viewBox="{box[1]}" width="{sizes["width"]:.0f}" height="{sizes["height"]:.0f}" '
        f'stroke-linejoin="round" style="max-width:max(100%,{least}px)">'
        f"{_own_ids(_TAG.sub(_in_the_page, _OF_A_FILE.sub('', svg[root.end() :]).strip()))}</figure>"
    )


def _in_the_page(tag: re.Match[str]) -> str:
    """A tag in the page's colours and font; what lies between tags is text of users and stays as it is."""
    return _PAINT.sub(_variable, _FONT.sub("", tag[0]))


def _variable(paint: re.Match[str]) -> str:
    """The colour's variable; one that the palette does not have stays."""
    what, between, colour = paint.groups()
    name = _NAMES.get(colour.lower())
    return f"{what}{between}var(--{name})" if name else paint[0]


def _own_ids(svg: str) -> str:
    """Ids that are referred to get names of their own on a page with many drawings; the others go."""
    own, used = "d" + hashlib.sha256(svg.encode()).hexdigest()[:7], set(_USED.findall(svg))
    svg = _TAG.sub(lambda tag: _ID.sub(lambda one: f' id="{own}-{one[1]}"' if one[1] in used else "", tag[0]), svg)
    return _TAG.sub(lambda tag: _USED.sub(lambda one: f"{one[0][: -len(one[1])]}{own}-{one[1]}", tag[0]), svg)
