"""The colours of every view: reports, pages, notebooks, drawings and the terminal.

Two accents carry meaning: orange raises the output, blue lowers it. They are of ColorBrewer's PuOr and RdBu scales,
told apart with every common kind of colour blindness, and orange is the lighter one in both themes, so that they are
told apart on a grey print, too. Nothing is said by a colour alone: the sign stands beside it.

Style sheets take the themes as custom properties (`explicate.views.look.sheets`). Drawings are made with the light
values, which a file keeps; in a page they follow its theme (`explicate.views.look.inlined`).
`tests/unit/client/test_look.py` measures contrast, colour blindness and greys.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """The colours of a light or of a dark page, in hexadecimal; each is a custom property of its name.

    Attributes:
        paper: what the page is on.
        box: what stands apart from the page: notes, code, fields.
        ink: text.
        faint: text that matters less.
        line: what parts one thing from the next; it carries no meaning.
        soft: the same, fainter; and what is chosen in a menu.
        edge: the border of a field or button, and the axis of a drawing.
        focus: the ring around what the keyboard is on.
        good: passed, learnt, ready.
        bad: failed, refused, danger.
        raises: marks of what raises the output: bars, dots, borders.
        lowers: of what lowers it.
        raises_soft: the same behind text.
        lowers_soft: the same behind text.
        raises_text: letters of that hue.
        lowers_text: letters of that hue.
        first: of a drawing's lines and bars that neither raise nor lower: what is looked at.
        second: what that is compared with.
        third: a third; the others follow, for many lines in one drawing.
        area: bars of `first`, on which whiskers in ink are seen.
    """

    paper: str
    box: str
    ink: str
    faint: str
    line: str
    soft: str
    edge: str
    focus: str
    good: str
    bad: str
    raises: str
    lowers: str
    raises_soft: str
    lowers_soft: str
    raises_text: str
    lowers_text: str
    first: str
    second: str
    third: str
    fourth: str
    fifth: str
    sixth: str
    seventh: str
    eighth: str
    area: str

    def variables(self, *, drawn: bool = False) -> str:
        """CSS declarations, such as `--ink:#222222;--faint:#5c5c5c`; or those that drawings alone have."""
        names = [one.name for one in fields(self) if (one.name in DRAWN) == drawn]
        return ";".join(f"--{name.replace('_', '-')}:{getattr(self, name)}" for name in names)


DRAWN = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "area")
LIGHT = Theme(
    paper="#ffffff",
    box="#f6f6f5",
    ink="#222222",
    faint="#5c5c5c",
    line="#dcdcda",
    soft="#ececea",
    edge="#808080",
    focus="#111111",
    good="#2f7d32",
    bad="#b3261e",
    raises="#e66101",
    lowers="#2166ac",
    raises_soft="#fbe3d0",
    lowers_soft="#d6e4f1",
    raises_text="#a64300",
    lowers_text="#1c5a9a",
    first="#14505c",
    second="#c46f9d",
    third="#7a6a00",
    fourth="#4b4ba3",
    fifth="#56852b",
    sixth="#8c5a3c",
    seventh="#555555",
    eighth="#b0780f",
    area="#5f929c",
)
DARK = Theme(
    paper="#121212",
    box="#1e1e1e",
    ink="#e4e4e4",
    faint="#a8a8a8",
    line="#444444",
    soft="#333333",
    edge="#808080",
    focus="#ffffff",
    good="#81c784",
    bad="#ff8a80",
    raises="#fdae61",
    lowers="#5899d0",
    raises_soft="#4a2f17",
    lowers_soft="#1b3852",
    raises_text="#fdb974",
    lowers_text="#8cbce8",
    first="#63b8c2",
    second="#bd5a7e",
    third="#d9c94e",
    fourth="#a3a3ea",
    fifth="#9ccb6e",
    sixth="#d09a78",
    seventh="#b5b5b5",
    eighth="#e3ab45",
    area="#3f7883",
)


def rgb(colour: str) -> Rgb:
    """The red, green and blue of a hexadecimal colour, 0 to 255 each."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue


def hexadecimal(colour: Rgb) -> str:
    """The other way round."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


RAISES_RGB, LOWERS_RGB = rgb(LIGHT.raises), rgb(LIGHT.lowers)
LOWERS_LIGHT_RGB: Rgb = (103, 169, 207)  # a lighter blue of the same scale: black stays legible on it

# What a column holds, from the least over the middle to the most: the hues of ColorBrewer's PRGn, as dark as is seen on
# white and as light as is seen on a dark page.
LEAST_RGB, MIDDLE_RGB, MOST_RGB = (63, 154, 90), (128, 128, 128), (153, 112, 171)

# What drawings are made with.
FIRST, SECOND, THIRD, AREA = LIGHT.first, LIGHT.second, LIGHT.third, LIGHT.area
QUIET = LIGHT.edge  # what is there to compare with: a diagonal, a simple model, axes
BEHIND = LIGHT.line  # what lies behind the lines: counts of rows, grids
SERIES = (FIRST, SECOND, THIRD, LIGHT.fourth, LIGHT.fifth, LIGHT.sixth, LIGHT.seventh, LIGHT.eighth)
"""Many lines in one drawing; those that mean something have other strokes or marks, too."""
