"""The page Try: parts of an input that are one player or always there, and what a change may do, on a real server."""

import contextlib
import io
import json
import re
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from support.browser import Visit, screenshot
from support.tiny_image_bundle import png

SLOW_MS = 60_000  # until an answer comes on a busy machine
TEXT = "not a great movie, a good film"
PICTURE = png(np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8))
ROW = {"income": "1200", "purpose": "home", "debt_short": "3", "owner": "true", "age": "40", "rating": "high",
       "debt_long": "4"}  # fmt: skip


def told(**given: object) -> str:
    """What an address says further, in JSON."""
    return "".join(f"&{name}={quote(json.dumps(value))}" for name, value in given.items())


ROW_PARTS = told(always=["income"], together=["means", "age", "debts"])


def is_final(page: Page) -> None:
    expect(page.locator(".progress p").first).to_have_text(
        re.compile(r"^Final after [\d,]+ evaluations"), timeout=SLOW_MS
    )


def explain(page: Page) -> None:
    page.get_by_role("button", name="Explain", exact=True).click()


def take(page: Page, words: str, button: str, label: str = "Text") -> None:
    """Select words in the text and press a button."""
    text = page.get_by_label(label, exact=True)
    text.focus()
    start = text.input_value().index(words)
    text.evaluate("(area, [start, end]) => area.setSelectionRange(start, end)", [start, start + len(words)])
    page.get_by_role("button", name=button, exact=True).click()


def text_page(visited: Visit, options: str = "") -> Page:
    page = visited.open(f"#/try?model=tiny{options}&text={quote(TEXT)}")
    page.get_by_text("Words that stay, or go together").click()
    return page


def row_page(visited: Visit, options: str = "") -> Page:
    page = visited.open(f"#/try?model=loans{options}&row={quote(json.dumps(ROW))}")
    page.get_by_text("More options").click()
    return page


def parts_of(page: Page) -> Locator:
    return page.locator("details.parts")


def test_selected_words_are_always_there_or_one_part(visited: Visit) -> None:
    page = text_page(visited)
    take(page, "reat", "Always there")
    expect(page.get_by_role("list", name="Always there")).to_contain_text("“great”")
    take(page, "ood fil", "One part")
    page.get_by_label("One part, called").fill("praise")
    expect(page.get_by_role("list", name="praise")).to_contain_text("“good film”")
    explain(page)
    is_final(page)
    expect(page.locator(".mark-fixed-word")).to_contain_text("great")
    expect(page.locator(".mark-held")).to_have_text(
        re.compile("praise, one part: “good film”.*Always there: “great”", re.S)
    )
    expect(page.locator(".mark-bars")).to_contain_text("praise")
    expect(page.locator(".mark-bars tbody")).not_to_contain_text("great")
    expect(page.locator(".mark-told")).to_contain_text("nothing but what is always there")


def test_words_are_chosen_by_the_keyboard_alone(visited: Visit) -> None:
    page = text_page(visited)
    page.get_by_label("Text", exact=True).focus()
    page.keyboard.press("Control+Home")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".selected")).to_contain_text("“not”")
    for _ in range(2):
        page.keyboard.press("Tab")  # past what folds it
    expect(page.get_by_role("button", name="Always there")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Always there")).to_contain_text("“not”")
    page.get_by_role("button", name="No longer choose “not”").press("Enter")
    expect(page.get_by_role("list", name="Always there")).to_have_count(0)


def test_an_edit_drops_what_it_changes_and_says_so(visited: Visit) -> None:
    page = text_page(visited)
    take(page, "great", "Always there")
    take(page, "film", "One part")
    page.get_by_label("Text", exact=True).fill(TEXT.replace("great", "awful"))
    expect(page.get_by_text("No longer chosen, since the input has changed: great.")).to_be_visible()
    expect(page.get_by_role("list", name="group 1")).to_contain_text("“film”")
    expect(page.get_by_role("list", name="Always there")).to_have_count(0)


def test_what_the_server_refuses_of_words_is_told_at_their_chip(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = text_page(visited, "&granularity=GRANULARITY_SENTENCE")
    take(page, "great", "Always there")
    explain(page)
    chip = page.get_by_role("button", name="No longer choose “great”")
    expect(chip).to_be_focused()
    expect(chip).to_have_accessible_description(re.compile("which cuts 'not a great movie"))
    expect(page.locator("ul.notice")).to_have_count(0)


def test_columns_stay_or_go_together_and_go_into_the_address(visited: Visit) -> None:
    page = row_page(visited)
    page.get_by_text("Columns that stay, or go together").click()
    parts = parts_of(page).first
    parts.get_by_label("income", exact=True).select_option("always there")
    parts.get_by_label("age", exact=True).select_option("together as a new group")
    parts.get_by_label("debts", exact=True).select_option("together as group 1")
    parts.get_by_label("One part, called").fill("owner")
    explain(page)
    expect(parts.get_by_label("One part, called")).to_be_focused()
    expect(parts.get_by_label("One part, called")).to_have_accessible_description(
        re.compile("name of a column outside of the group")
    )
    parts.get_by_label("One part, called").fill("means")
    explain(page)
    is_final(page)
    cells = page.locator(".mark-cells")
    expect(cells.get_by_role("row", name=re.compile("^means"))).to_contain_text("debt_long: 4")
    expect(cells.get_by_role("row", name=re.compile("^income"))).to_contain_text("always there")
    assert "1200" not in page.url
    visited.open(page.url.split("/", 3)[3])
    page.reload()
    expect(page.get_by_text("(1 always there, 1 group)")).to_have_count(1)
    expect(page.get_by_label("debts", exact=True)).to_have_value("1")


def test_a_method_that_takes_no_groups_says_so_at_the_choice(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = row_page(visited, f"&method=lime{ROW_PARTS}")
    explain(page)
    expect(page.locator('[data-path="options.groups"]')).to_be_focused()
    expect(page.locator('[data-path="options.groups"]')).to_contain_text("lime draws a value for each column")
    expect(page.locator('[data-path="options.fixed"]')).to_be_visible()


def test_boxes_are_drawn_on_the_picture_or_given_as_numbers(visited: Visit) -> None:
    page = visited.open("#/try?model=animals")
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": PICTURE}
    )
    page.get_by_text("Regions that stay, or go together").click()
    expect(page.locator(".boxes.drawn")).to_be_visible()
    seen = page.locator(".picture img").bounding_box()
    assert seen is not None
    page.mouse.move(seen["x"] + seen["width"] / 4, seen["y"] + seen["height"] / 4)
    page.mouse.down()
    page.mouse.move(seen["x"] + seen["width"] / 2, seen["y"] + seen["height"] / 2, steps=4)
    page.mouse.up()
    sides = [page.get_by_label(side, exact=True) for side in ("Left", "Top", "Right", "Bottom")]
    for side, value in zip(sides, (24, 16, 48, 32), strict=True):
        assert abs(float(side.input_value()) - value) <= 1
    page.get_by_role("button", name="One part", exact=True).click()
    expect(page.get_by_role("list", name="group 1").get_by_role("listitem")).to_have_count(1)
    page.get_by_role("button", name="Always there", exact=True).click()
    expect(page.get_by_text("or give four numbers, in pixels.")).to_be_visible()
    for side, text in zip(sides, ("0", "0", "20", "12"), strict=True):
        side.fill(text)
    page.get_by_role("button", name="Always there", exact=True).click()
    expect(page.get_by_role("list", name="Always there")).to_contain_text("0, 0 to 20, 12")
    expect(page.locator(".boxes .box")).to_have_count(2)
    explain(page)
    is_final(page)
    expect(page.locator(".mark-held")).to_have_text(re.compile("group 1, one part: .*Always there: drawn region", re.S))
    page.locator(".mark-list").get_by_role("button", name=re.compile("^Show the other")).click()
    expect(page.locator(".mark-list")).to_contain_text("group 1")
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "y.png", "mimeType": "image/png", "buffer": PICTURE}
    )
    expect(page.get_by_text(re.compile("^No longer chosen"))).to_contain_text("0, 0 to 20, 12")
    expect(page.locator(".boxes .box")).to_have_count(0)


def test_a_change_is_held_to_what_each_column_may_become(visited: Visit) -> None:
    asked: list[str] = []
    visited.page.on(
        "request", lambda request: asked.append(request.post_data or "") if "Explain" in request.url else None
    )
    page = row_page(visited, "&change=1")
    page.get_by_text("What each column may become").click()
    choices = page.locator(".column-choice")
    choices.get_by_label("income", exact=True).select_option("from a range")
    explain(page)
    expect(choices.get_by_label("from", exact=True)).to_be_focused()
    expect(choices.get_by_label("from", exact=True)).to_have_accessible_description("is empty; give the lower end")
    choices.get_by_label("from", exact=True).fill("10")
    choices.get_by_label("to", exact=True).fill("20")
    choices.get_by_label("in steps of", exact=True).fill("5")
    choices.get_by_label("purpose", exact=True).select_option("one of some values")
    page.get_by_role("group", name="Values of purpose").get_by_role("checkbox").first.check()
    choices.get_by_label("age", exact=True).select_option("keeps its value")
    page.get_by_label("Columns that are not chosen below keep their values").check()
    explain(page)
    is_final(page)
    change = json.loads(asked[-1][asked[-1].index("{") :])["spec"]["options"]["change"]
    assert change["keepOthers"] is True
    assert [each["column"] for each in change["columns"]] == ["income", "purpose", "age"]
    assert change["columns"][0]["range"] == {"low": {"number": 10}, "high": {"number": 20}, "step": 5}
    expect(page.get_by_role("region", name="The smallest change")).to_be_visible()


def test_what_the_server_refuses_of_a_change_is_told_at_the_column(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = row_page(visited, told(change=1, vary=["income", "range", "20", "10"]))
    explain(page)
    income = page.locator(".column-choice").get_by_label("income", exact=True)
    expect(income).to_be_focused()
    expect(income).to_have_accessible_description(re.compile("is empty: its low end"))


@pytest.mark.parametrize("model", ["tiny", "loans"])
def test_the_call_as_python_asks_the_same(visited: Visit, server: str, model: str) -> None:
    if model == "tiny":
        page = text_page(visited)
        take(page, "great", "Always there")
        take(page, "good film", "One part")
    else:
        vary = told(change=1, vary=["income", "range", "10", "20", "5"])
        page = row_page(visited, f"{ROW_PARTS}{vary}&keep=purpose&keepOthers=1")
    explain(page)
    is_final(page)
    page.get_by_text("Take it along").click()
    code = page.get_by_label("The call as Python").inner_text()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("127.0.0.1:8500", server), {})
    assert "never left out:" in printed.getvalue()
    assert ("group 1:" if model == "tiny" else "means:") in printed.getvalue()


def test_two_texts_have_words_of_their_own_in_compare(visited: Visit) -> None:
    page = visited.open("#/compare?model=tiny&differs=inputs")
    for legend, words in (("A: first input", "a great movie"), ("B: second input", "a good film")):
        side = page.get_by_role("group", name=legend)
        side.get_by_label("Text", exact=True).fill(words)
        side.get_by_text("Words that stay, or go together").click()
        side.get_by_label("Text", exact=True).evaluate("(area) => { area.focus(); area.setSelectionRange(2, 4); }")
        side.get_by_role("button", name="Always there", exact=True).click()
    page.get_by_role("button", name="Compare", exact=True).click()
    fixed = page.locator(".sides .mark-fixed-word")
    expect(fixed).to_have_count(2, timeout=SLOW_MS)
    expect(fixed.first).to_contain_text("great")
    expect(fixed.last).to_contain_text("good")


@pytest.mark.parametrize("model", ["tiny", "loans"])
def test_the_choice_of_parts_is_whole_and_accessible_in_every_look(model: str, visitor, console: str, looks) -> None:  # type: ignore[no-untyped-def]
    with visitor(console, **looks) as visited:
        if model == "tiny":
            page = text_page(visited, told(always=[[6, 11]], together=["praise", [21, 30]]))
        else:
            vary = told(change=1, vary=["income", "range", "10", "20", "5"])
            page = row_page(visited, f"{ROW_PARTS}{vary}&keep=purpose")
            page.get_by_text("Columns that stay, or go together").click()
        expect(page.get_by_label("One part, called")).to_be_visible()
        explain(page)
        is_final(page)
        screenshot(page, f"try-parts-{model}-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []
