"""The page Rows before real folders of scored rows: as a whole, by a filter, by keyboard, in every look."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Page, expect

from explicate.cli.main import main
from support.browser import Visit, screenshot
from support.console import console_process
from support.scored_folders import FolderPlan, write_folder

Visitor = Callable[..., AbstractContextManager[Visit]]
_LOANS = ("income", "purpose", "debt_short", "owner", "age", "rating", "debt_long")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def rows_console(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console with a folder of random rows, one that the loans model scored, one of texts, and one that is none."""
    place = tmp_path_factory.mktemp("scored")
    random_rows = write_folder(place / "credit", FolderPlan(rows=2000, part_rows=500, fails=100))
    loans = place / "loans.csv"
    rows = [(1000 * n + 500, ("car", "home")[n % 2], 10 * n, "true", 20 + n, "low", 7 * n) for n in range(40)]
    lines = [",".join((*_LOANS, "note")), *(",".join(map(str, (*row, f'"{HOSTILE}"'))) for row in rows)]
    loans.write_text("\n".join(lines) + "\n")
    texts = place / "texts.jsonl"
    told = ["the soup was good", "the soup was bad 🍲", f"bad {HOSTILE}"]
    texts.write_text("\n".join(json.dumps({"text": text}) for text in told) + "\n")
    for model, given in (("loans", loans), ("tiny", texts)):
        command = ["score", "--server", server, "--model", model, "--input", str(given), "--explain", "exact-shap"]
        assert main([*command, "--output", str(place / f"scored-{model}")]) == 0
    (place / "empty").mkdir()
    folders = [random_rows, place / "scored-loans", place / "scored-tiny", place / "empty"]
    with console_process(server, *(flag for path in folders for flag in ("--rows", str(path)))) as url:
        yield url


@pytest.fixture
def seen(visitor: Visitor, rows_console: str) -> Iterator[Visit]:
    with visitor(rows_console) as found:
        yield found


def open_rows(visit: Visit, place: str = "credit") -> Page:
    page = visit.open(f"#/rows/{place}")
    page.wait_for_selector(".rows-table tbody tr")
    return page


def test_the_page_is_whole_and_accessible_in_every_look(
    visitor: Visitor, rows_console: str, looks: dict[str, object]
) -> None:
    with visitor(rows_console, **looks) as visit:
        page = open_rows(visit, "credit?added=age&slice=age")
        expect(page.get_by_role("status").filter(has_text="All 1,980 rows")).to_be_visible()
        expect(page.locator(".rows-bars tbody tr:not([aria-hidden])")).to_have_count(6)
        expect(page.locator(".rows-slice-table tbody tr:not([aria-hidden])")).to_have_count(6)
        expect(page.locator(".rows-swarm figcaption")).to_contain_text("400 of")
        screenshot(page, f"rows-credit-{looks['theme']}-{looks['width']}")
        assert visit.too_wide() == []
        assert visit.inaccessible() == []
        page.get_by_role("button", name="Row 5: show it in full").click()
        expect(page.get_by_role("dialog").get_by_role("heading", name="The parts by size")).to_be_visible()
        screenshot(page, f"rows-one-{looks['theme']}-{looks['width']}")
        assert visit.inaccessible() == []


def test_a_filter_counts_narrows_every_chart_and_stays_in_the_address(seen: Visit) -> None:
    page = open_rows(seen)
    page.get_by_label("Filter", exact=True).fill('age > 40 and label = "bad"')
    page.keyboard.press("Enter")
    expect(page.locator(".rows-count")).to_contain_text("of 1,980 rows")
    expect(page.locator(".rows-counts").first.locator("tbody tr")).to_have_count(1)
    told = page.locator(".rows-count strong").inner_text()
    page.reload()
    expect(page.locator(".rows-count strong")).to_have_text(told)
    expect(page.get_by_label("Filter", exact=True)).to_have_value('age > 40 and label = "bad"')
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".rows-count strong")).to_have_text("All 1,980 rows")
    page.go_back()
    expect(page.locator(".rows-count strong")).to_have_text(told)


def test_a_wrong_filter_is_marked_at_its_place(seen: Visit) -> None:
    seen.expected.append("error: Failed to load resource: the server responded with a status of 400")
    page = open_rows(seen)
    page.get_by_label("Filter", exact=True).fill("agee > 40")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="did you mean age?")).to_be_visible()
    assert page.locator(".rows-error pre").inner_text().splitlines() == ["agee > 40", "^"]
    expect(page.get_by_label("Filter", exact=True)).to_have_attribute("aria-invalid", "true")


def test_rows_are_sorted_by_a_heading_and_paged(seen: Visit) -> None:
    page = open_rows(seen)
    heading = page.locator(".rows-table").get_by_role("columnheader", name="age")
    for order, ages in (("ascending", "18"), ("descending", "89")):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", order)
        expect(page.locator(".rows-table tbody tr").first.locator("td").nth(1)).to_have_text(ages)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51 to 100 of 1,980")).to_be_visible()
    page.get_by_role("button", name="Last").click()
    expect(page.get_by_text("1,951 to 1,980 of 1,980")).to_be_visible()


def test_a_bar_sorts_by_what_a_feature_adds_and_cuts_by_its_column(seen: Visit) -> None:
    page = open_rows(seen)
    page.locator(".rows-bars").get_by_role("button", name="debt").click()
    expect(page.get_by_label("Sort by")).to_have_value("added.debt")
    expect(page.get_by_label("Cut by")).to_have_value("debt")
    expect(page.locator(".rows-slice-table thead")).to_contain_text("mean of what debt adds")
    page.locator(".rows-slice-table tbody button").first.click()
    expect(page.get_by_label("Filter", exact=True)).to_have_value(re.compile(r"debt >= [\d.]+ and debt < [\d.]+"))


def test_dots_are_reached_by_arrow_keys_and_open_their_row(seen: Visit) -> None:
    page = open_rows(seen)
    expect(page.locator(".rows-swarm figcaption")).to_contain_text("400 of")
    page.locator(".rows-swarm canvas").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    told = page.locator(".rows-dot").inner_text()
    assert re.search(r"adds [+-][\d.]+ ± [\d.]+", told)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(told.split(":")[0])
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_failed_rows_are_shown_with_their_reason(seen: Visit) -> None:
    page = open_rows(seen)
    page.locator(".rows-which select").select_option("failed")
    expect(page.locator(".rows-count strong")).to_have_text("All 20 rows that failed")
    expect(page.locator(".rows-table tbody tr").first).to_contain_text("income is not a number")


def test_a_row_of_a_real_run_has_its_columns_and_goes_to_try_by_a_click_alone(seen: Visit) -> None:
    page = open_rows(seen, "scored-loans")
    page.get_by_role("button", name="Row 3: show it in full").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(HOSTILE).first).to_be_visible()
    expect(dialog.locator(".mark-cells")).to_contain_text("3500")
    expect(dialog.locator(".mark-cells")).to_contain_text("exact")
    assert "3500" not in page.url
    dialog.get_by_role("button", name="Open this row in Try").click()
    page.wait_for_url("**/#/try?*")
    assert "3500" in page.url
    assert "onerror" not in page.url


def test_a_text_is_drawn_with_its_words(seen: Visit) -> None:
    page = open_rows(seen, "scored-tiny")
    page.get_by_role("button", name="Row 1: show it in full").click()
    words = page.get_by_role("dialog").locator(".mark-words .mark-word")
    expect(words.first).to_have_text("the")
    expect(words).to_have_count(5)


def test_a_folder_without_a_run_says_so(seen: Visit) -> None:
    page = seen.open("#/rows/empty")
    expect(page.get_by_role("alert")).to_contain_text("does not hold a run of explicate score")


def test_a_console_without_folders_says_how_to_start_one_with_some(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource: the server responded with a status of 400")
    page = visited.open("#/rows")
    expect(page.locator("pre")).to_contain_text("explicate console --rows scored")
