"""The look: contrast, colour blindness and greys are measured, and colours are in one place."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import pytest

from explicate.views.look.inlined import inlined
from explicate.views.look.palette import (
    DARK,
    DRAWN,
    LEAST_RGB,
    LIGHT,
    LOWERS_RGB,
    MOST_RGB,
    RAISES_RGB,
    hexadecimal,
    rgb,
)
from explicate.views.look.sheets import chart_style, marks_style, page_style, style_sheet

ROOT = Path(__file__).parents[3]
PACKAGES = ("bundle", "clients/python", "server", "training", "standards", "export", "studies", "console", "benchmarks")
PALETTE = "clients/python/explicate/views/look/palette.py"
# "#ff8800" is what a user may write, in help and in an error. Outlines on a photograph are black beside white, whatever
# the page is.
ALLOWED = {".py": {"#ff8800"}, ".js": {"#ff8800", "#000", "#fff"}, ".jinja": (), ".css": (), ".html": ()}
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])

# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15
# (2009), table of severity 1.0; of linear RGB.
BLINDNESS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
# sRGB to XYZ of D65 (IEC 61966-2-1).
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def linear(colour: str) -> list[float]:
    shares = [channel / 255 for channel in rgb(colour)]
    return [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]


def times(matrix, vector) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2)."""
    high, low = sorted((times(TO_XYZ, linear(colour))[1] for colour in (one, other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(light: list[float]) -> list[float]:
    """CIE 1976 L*a*b* of linear RGB."""
    x, y, z = (
        (share ** (1 / 3) if share > (6 / 29) ** 3 else share / (3 * (6 / 29) ** 2) + 4 / 29)
        for share in (value / white for value, white in zip(times(TO_XYZ, light), WHITE, strict=True))
    )
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def apart(one: str, other: str, blindness: str | None = None) -> float:
    """How far two colours are apart, CIE 1976, as one with this colour blindness sees them; 2.3 is just noticed."""
    seen = []
    for colour in (one, other):
        light = linear(colour)
        if blindness:
            light = [min(max(channel, 0.0), 1.0) for channel in times(BLINDNESS[blindness], light)]
        seen.append(lab(light))
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


class TestContrast:
    """WCAG 2.2, level AA: 1.4.3 for text, 1.4.11 for marks and the borders of fields."""

    @THEMES
    @pytest.mark.parametrize("ground", ["paper", "box", "soft", "raises_soft", "lowers_soft"])
    @pytest.mark.parametrize("text", ["ink", "faint", "raises_text", "lowers_text"])
    def test_text_is_legible_on_every_ground(self, theme, ground, text):
        assert contrast(getattr(theme, text), getattr(theme, ground)) >= 4.5

    @THEMES
    @pytest.mark.parametrize("ground", ["paper", "box"])
    def test_good_and_bad_are_legible_as_text(self, theme, ground):
        assert min(contrast(colour, getattr(theme, ground)) for colour in (theme.good, theme.bad)) >= 4.5

    @THEMES
    @pytest.mark.parametrize("ground", ["paper", "box"])
    @pytest.mark.parametrize("mark", ["raises", "lowers", "edge", "focus"])
    def test_marks_are_seen_on_every_ground(self, theme, ground, mark):
        assert contrast(getattr(theme, mark), getattr(theme, ground)) >= 3

    @THEMES
    @pytest.mark.parametrize("name", DRAWN)
    def test_lines_of_drawings_are_seen_on_every_page(self, theme, name):
        assert contrast(getattr(theme, name), theme.paper) >= 3

    @THEMES
    def test_whiskers_are_seen_on_their_bars(self, theme):
        assert contrast(theme.ink, theme.area) >= 3

    @THEMES
    @pytest.mark.parametrize("dot", [LEAST_RGB, MOST_RGB])
    def test_dots_of_a_swarm_are_seen_on_every_page(self, theme, dot):
        assert contrast(hexadecimal(dot), theme.paper) >= 3


class TestAccents:
    @THEMES
    @pytest.mark.parametrize("blindness", [None, *BLINDNESS])
    def test_accents_are_told_apart_with_every_colour_blindness(self, theme, blindness):
        assert apart(theme.raises, theme.lowers, blindness) > 40
        assert apart(theme.raises_soft, theme.lowers_soft, blindness) > 10

    @THEMES
    def test_accents_are_different_greys_and_what_raises_is_the_lighter_one(self, theme):
        light, dark = (lab(linear(colour))[0] for colour in (theme.raises, theme.lowers))
        assert light - dark > 10  # of 100; 1 is just noticed

    @pytest.mark.parametrize("blindness", [None, *BLINDNESS])
    def test_least_and_most_of_a_column_are_told_apart(self, blindness):
        assert apart(hexadecimal(LEAST_RGB), hexadecimal(MOST_RGB), blindness) > 20

    @THEMES
    @pytest.mark.parametrize("blindness", [None, *BLINDNESS])
    def test_the_first_three_lines_of_a_drawing_are_told_apart(self, theme, blindness):
        lines = (theme.first, theme.second, theme.third)
        assert min(apart(one, other, blindness) for one, other in combinations(lines, 2)) > 20

    def test_the_measure_knows_what_cannot_be_told_apart(self):
        assert apart("#777700", "#a06000", "deuteranopia") < 12 < apart("#777700", "#a06000")


class TestSheets:
    def test_every_colour_of_the_sheet_is_one_of_the_palette(self):
        for sheet in (page_style(), chart_style()):
            assert set(re.findall(r"#[0-9a-f]{6}", sheet)) <= {*vars(LIGHT).values(), *vars(DARK).values()}

    def test_every_variable_that_rules_use_is_set(self):
        sheet = page_style()
        assert set(re.findall(r"var\((--[\w-]+)", sheet)) <= set(re.findall(r"[{;](--[\w-]+):", sheet))

    def test_rules_keep_their_braces(self):
        for sheet in (style_sheet(), page_style(), marks_style(), chart_style()):
            assert sheet.count("{") == sheet.count("}") > 0
            assert "/*" not in sheet

    def test_a_notebook_output_leaves_the_rest_of_the_notebook_alone(self):
        selectors = re.findall(r"(?:^|[{}])([^{}@]+)\{", marks_style().removeprefix("<style>\n").replace("\n", ""))
        assert all(each.strip().startswith(".explicate") for one in selectors for each in one.split(","))

    def test_a_notebook_output_takes_the_notebooks_theme(self):
        assert not re.search(r"#[0-9a-f]{3}|var\(|prefers-color-scheme", marks_style())

    def test_what_lowers_is_marked_on_paper_beyond_its_colour(self):
        paper = marks_style().partition("@media print{")[2].partition("@media")[0]
        assert ".word.lowers" in paper
        assert "underline" in paper
        assert "dasharray" in paper

    def test_paper_is_light(self):
        assert "@media (prefers-color-scheme" not in style_sheet() + chart_style()
        assert style_sheet().count("@media screen and (prefers-color-scheme:dark)") == 1


class TestOnePlace:
    def test_colours_are_written_in_the_palette_only(self):
        found = [
            f"{path.relative_to(ROOT)}: {colour}"
            for package in PACKAGES
            for path in sorted((ROOT / package).rglob("*"))
            if path.suffix in ALLOWED and "vendor" not in path.parts
            for colour in re.findall(r"""(?<![&\w])#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b""", path.read_text("utf-8"))
            if str(path.relative_to(ROOT)) != PALETTE and colour not in ALLOWED[path.suffix]
        ]
        assert not found

    def test_there_are_rules_to_ship(self):
        assert {"page.css", "drawings.css", "marks.css"} <= {
            entry.name for entry in files("explicate.views.look").iterdir()
        }

    def test_accents_have_one_value(self):
        assert (hexadecimal(RAISES_RGB), hexadecimal(LOWERS_RGB)) == (LIGHT.raises, LIGHT.lowers)


class TestInlined:
    FILE = (
        '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="90pt" height="30" viewBox="0 0 90 30">'
        '<defs><style type="text/css">*{stroke: red}</style></defs><metadata>made by</metadata><!-- a note -->'
        '<defs><path id="m1" d="M0 0"/></defs><g id="axes_1"><use xlink:href="#m1" style="fill: #222222"/></g>'
        '<text style="font-family: Arial; fill: #14505c">#222222 id="x"</text></svg>'
    )

    def test_colours_of_the_palette_become_those_of_the_page_and_text_stays(self):
        page = inlined(self.FILE, "bars")
        assert 'style="fill: var(--ink)"' in page
        assert '<text style="fill: var(--first)">#222222 id="x"</text>' in page

    def test_what_would_be_said_of_the_whole_page_is_left_out(self):
        page = inlined(self.FILE, "bars")
        assert not any(left in page for left in ("<?xml", "<style", "metadata", "<!--", "axes_1", 'id="m1"', "Arial"))

    def test_a_drawing_says_what_it_shows_and_scrolls_before_its_letters_are_too_small(self):
        page = inlined(self.FILE.replace('"90pt"', '"900pt"'), 'a < b "c"')
        assert 'role="img" aria-label="a &lt; b &quot;c&quot;" viewBox="0 0 90 30" width="1200" height="30"' in page
        assert page.startswith('<figure class="wide" tabindex="0">')
        assert "max-width:max(100%,960px)" in page
        assert "tabindex" not in inlined(self.FILE, "small")

    def test_no_drawing_is_no_figure(self):
        assert inlined("", "bars") == ""
