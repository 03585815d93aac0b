"""The pages that commands write, in a browser: whole in every look, and of one look with the console."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.browser import THEMES, WIDTHS, Visitor, screenshot
from support.reports import MAKERS, Reports

PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}
# Text and marks of drawings that cannot be told from what is behind them: their colour is the page's, or nearly.
UNSEEN = """[...document.querySelectorAll("svg.drawing text")].filter((each) => {
  const [ink, paper] = [getComputedStyle(each).fill, getComputedStyle(document.body).backgroundColor];
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  const inSquares = each.closest("svg").getAttribute("aria-label").includes("matrix");
  return Math.abs(light(ink) - light(paper)) < 200 && !inSquares;
}).map((each) => each.textContent)"""
SMALL = """[...document.querySelectorAll("svg.drawing text")].filter((each) => {
  const { a, b } = each.getScreenCTM(); // names of axes stand upright
  return parseFloat(getComputedStyle(each).fontSize) * Math.hypot(a, b) < 8;
}).map((each) => each.textContent)"""
AUDITED = {("light", 1440), ("dark", 390)}  # both themes and both widths, without axe-core's time for all four


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return Reports(tmp_path_factory.mktemp("reports"))


@pytest.mark.timeout(300)  # the first to ask makes the report, of which some are trainings
@pytest.mark.parametrize("name", MAKERS)
def test_a_report_is_whole_accessible_and_legible_in_every_look(name: str, reports: Reports, visitor: Visitor) -> None:
    path = reports[name]
    for theme in THEMES:
        for width in WIDTHS:
            with visitor(path.as_uri(), theme=theme, width=width) as visited:
                page = visited.page
                page.goto(visited.url)
                expect(page.locator("body")).to_have_css("background-color", PAPER[theme])
                screenshot(page, f"report-{name.replace(' ', '-')}-{theme}-{width}")
                assert visited.too_wide() == [], (theme, width)
                assert (theme, width) not in AUDITED or visited.inaccessible() == [], (theme, width)
                assert page.evaluate(UNSEEN) == [], (theme, width)
                assert page.evaluate(SMALL) == [], (theme, width)


def test_a_drawing_follows_the_page_from_light_to_dark_and_is_light_on_paper(
    reports: Reports, visitor: Visitor
) -> None:
    with visitor(reports["curve"].as_uri()) as visited:
        page = visited.page
        page.goto(visited.url)
        inks = []
        for media in ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"color_scheme": "dark", "media": "print"}):
            page.emulate_media(**media)  # type: ignore[arg-type]
            inks.append(ink_of(page))
        light, dark, paper = inks
        assert light == paper == "rgb(34, 34, 34)"
        assert dark == "rgb(228, 228, 228)"


def ink_of(page: Page) -> str:
    """The colour of a drawing's letters."""
    return str(page.locator("svg.drawing text").first.evaluate("(each) => getComputedStyle(each).fill"))


def test_no_report_asks_for_anything_from_elsewhere(reports: Reports) -> None:
    for name in ("curve", "summary", "explanations"):
        page = Path(reports[name]).read_text(encoding="utf-8")
        assert not re.search(r'(?:src|href)="(?!#|data:)[^"]*//', page.replace("http://www.w3.org/", ""))
