"""Rows that need not be typed, and what an explanation is set against: another row, another picture."""

import json
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Request, expect

from support.browser import Visit, Visitor, screenshot
from support.console import ask
from support.tiny_image_bundle import png

SLOW_MS = 60_000  # until an answer comes on a busy machine
ROW = {"income": "1200", "purpose": "home", "debt_short": "3", "owner": "true", "age": "40", "rating": "high"} | {
    "debt_long": "4"
}
PICTURE, OTHER = (png(np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)) for seed in (3, 4))


def asked_by(page: Page) -> list[dict[str, Any]]:
    """The specs that the page will have sent, one for each explanation that it asks for."""
    sent: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("InferenceService/StreamExplain"):
            sent.append(json.loads((request.post_data_buffer or b"")[5:])["spec"])

    page.on("request", note)
    return sent


def explain(page: Page) -> None:
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.locator(".progress p").first).to_have_text(re.compile("^Final after"), timeout=SLOW_MS)


def open_row(visited: Visit, query: str = "", row: dict[str, str] = ROW) -> Page:
    """The page with a row filled in by its address."""
    return visited.open(f"#/try?model=loans&row={json.dumps(row)}{query}")


def other_row(page: Page) -> Locator:
    """The form of the row that is compared with, chosen."""
    page.get_by_text("More options").click()
    page.get_by_label("Compared with").select_option("row")
    return page.get_by_role("group", name="The other row")


def give_picture(page: Page, label: str, content: bytes) -> None:
    given = {"name": f"{label.lower()}.png", "mimeType": "image/png", "buffer": content}
    page.get_by_label(label, exact=True).set_input_files(given)  # type: ignore[arg-type]


def test_a_fresh_row_is_empty_and_nothing_that_nobody_chose_is_explained(visited: Visit) -> None:
    page = visited.open("#/try?model=loans")
    sent = asked_by(page)
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.locator(".cells .field-error")).to_have_count(len(ROW))
    assert sent == []


def test_typical_values_fill_what_is_empty_and_only_that(visited: Visit) -> None:
    page = visited.open("#/try?model=loans")
    told = ask(visited.url, "/explicate.v1.ModelService/GetModel", {"model": "loans"}).json["typicalValues"]
    expect(page.get_by_label("age", exact=True)).to_have_attribute("placeholder", f"e.g. {told['age']['number']}")
    expect(page.get_by_label("purpose", exact=True)).to_contain_text(f"choose, typically {told['purpose']['category']}")
    page.get_by_label("income", exact=True).fill("12")
    page.get_by_label("rating", exact=True).select_option("missing")
    sent = asked_by(page)
    fill = page.get_by_role("button", name="Fill in typical values")
    fill.click()
    expect(fill).to_be_disabled()
    explain(page)
    cells = sent[0]["input"]["tabular"]["cells"]
    assert cells == {**told, "income": {"number": 12}, "rating": {"missing": None}}


def test_another_row_is_sent_and_the_answer_names_it(visited: Visit) -> None:
    page = open_row(visited)
    sent = asked_by(page)
    other = other_row(page)
    other.get_by_role("button", name="Copy the input").click()
    other.get_by_label("income", exact=True).fill("7")
    expect(page.locator("details.another > summary")).to_have_text(
        "The other row, 1 of 7 columns differs from the input"
    )
    explain(page)
    expect(page.locator(".mark-told")).to_contain_text("the output for another row of a table")
    (spec,) = sent
    given = spec["input"]["tabular"]["cells"]
    assert spec["options"]["baseline"] == {"tabular": {"cells": {**given, "income": {"number": 7}}}}
    for name in ("purpose", "age"):  # as the other row has it, so there is nothing to tell of it
        expect(page.locator(".mark-bars tbody tr", has_text=name)).to_contain_text(re.compile(r"[+–-]?0\.0"))
    screenshot(page, "baseline-row")


def test_the_other_row_is_taken_along_as_code_and_into_a_link_only_with_the_input(visited: Visit) -> None:
    page = open_row(visited)
    other = other_row(page)
    other.get_by_role("button", name="Fill in typical values").click()
    explain(page)
    assert "other-row" not in page.url
    page.get_by_text("Take it along").click()
    expect(page.get_by_label("The call as Python")).to_contain_text('baseline={"income": ')
    expect(page.get_by_label("The call as curl")).to_contain_text('"baseline":{"tabular":{"cells":{"income":')
    expect(page.get_by_text("The other row goes along only with the input.")).to_be_visible()


def test_a_link_with_another_row_fills_it_in_and_sends_nothing(visited: Visit) -> None:
    sent = asked_by(visited.page)
    page = open_row(visited, f"&other-row={json.dumps({**ROW, 'income': '9', 'age': None})}")
    page.get_by_text("More options").click()
    other = page.get_by_role("group", name="The other row")
    expect(other.get_by_label("income", exact=True)).to_have_value("9")
    expect(other.get_by_label("age is missing")).to_be_checked()
    assert sent == []


def test_the_row_of_the_last_answer_can_be_compared_with(visited: Visit) -> None:
    page = open_row(visited)
    explain(page)
    page.get_by_label("income", exact=True).fill("5")
    other = other_row(page)
    other.get_by_role("button", name="Copy the row of the last answer").click()
    expect(other.get_by_label("income", exact=True)).to_have_value(ROW["income"])


def test_what_is_wrong_with_the_other_row_is_told_at_its_cells(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = open_row(visited)
    other = other_row(page)
    sent = asked_by(page)
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(other.get_by_label("income", exact=True)).to_be_focused()
    expect(other.locator(".field-error")).to_have_count(len(ROW))
    assert sent == []
    other.get_by_role("button", name="Copy the input").click()
    other.get_by_label("age", exact=True).fill("forty")
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(other.get_by_label("age", exact=True)).to_be_focused()
    expect(other.get_by_label("age", exact=True)).to_have_accessible_description(
        re.compile("this column takes numbers")
    )
    expect(page.locator(".field-error")).to_have_count(1)


def want_another_picture(page: Page) -> None:
    """Give the input, and choose another picture to set it against, which is still to be given."""
    give_picture(page, "Picture", PICTURE)
    page.get_by_text("More options").click()
    page.get_by_label("What is left out shows").select_option("picture")


def test_another_picture_is_sent_and_the_answer_names_it(visited: Visit) -> None:
    page = visited.open("#/try?model=animals")
    sent = asked_by(page)
    want_another_picture(page)
    give_picture(page, "Other picture", OTHER)
    expect(page.locator(".preview img")).to_have_count(2)
    explain(page)
    expect(page.locator(".mark-told")).to_contain_text("the output for another image")
    (spec,) = sent
    assert spec["options"]["baseline"]["image"]["content"] != spec["input"]["image"]["content"]
    page.get_by_text("Take it along").click()
    expect(page.get_by_label("The call as Python")).to_contain_text(
        'baseline=explicate.Image.open("other picture.png")'
    )
    expect(page.get_by_label("The call as curl")).to_contain_text("base64 -w0 'other picture.png'")
    expect(page.get_by_text("The other picture does not go into links.")).to_be_visible()
    screenshot(page, "baseline-picture")


def test_another_picture_is_checked_as_the_first_one_is(visited: Visit) -> None:
    page = visited.open("#/try?model=animals")
    sent = asked_by(page)
    want_another_picture(page)
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_label("Other picture", exact=True)).to_have_accessible_description(re.compile("is left out"))
    give_picture(page, "Other picture", b"hello")
    expect(page.locator(".field-error")).to_have_text("is no PNG, JPEG, WebP, GIF, BMP or TIFF file")
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_label("Other picture", exact=True)).to_be_focused()
    assert sent == []


def test_a_colour_that_is_none_is_told_at_its_field(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = visited.open("#/try?model=animals&baseline=orange")
    give_picture(page, "Picture", PICTURE)
    page.get_by_text("More options").click()
    expect(page.get_by_label("What is left out shows")).to_have_value("colour")
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_label("Colour", exact=True)).to_be_focused()
    expect(page.get_by_label("Colour", exact=True)).to_have_accessible_description(
        re.compile("give one such as '#ff8800'")
    )


def test_what_was_chosen_for_one_kind_of_model_is_not_sent_to_another(visited: Visit) -> None:
    page = visited.open("#/try?model=tiny")
    page.get_by_text("More options").click()
    page.get_by_label("Compared with another text").fill("a dull film")
    page.get_by_label("Name").select_option("loans")
    expect(page.get_by_label("Compared with")).to_have_value("name:")


def test_both_sides_of_a_comparison_are_set_against_another_row(visited: Visit) -> None:
    page = visited.open("#/compare?differs=methods&model=loans&a=exact-shap&b=kernel-shap")
    sent = asked_by(page)
    page.get_by_role("button", name="Fill in typical values").click()
    other = other_row(page)
    other.get_by_role("button", name="Copy the input").click()
    other.get_by_label("income", exact=True).fill("7")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("A and B answered.")).to_be_visible(timeout=SLOW_MS)
    assert [spec["options"]["baseline"]["tabular"]["cells"]["income"] for spec in sent] == [{"number": 7}] * 2


def test_a_comparisons_link_has_what_both_are_set_against_and_another_kind_of_model_drops_it(visited: Visit) -> None:
    page = visited.open("#/compare?differs=methods&model=tiny&a=lime&b=kernel-shap&baseline=a%20dull%20film")
    page.get_by_text("More options").click()
    asked = page.get_by_label("Compared with another text")
    expect(asked).to_have_value("a dull film")
    asked.fill("a dull play")
    expect(page).to_have_url(re.compile(r"baseline=a\+dull\+play"))
    page.get_by_label("Name").select_option("loans")
    expect(page.get_by_label("Compared with")).to_have_value("name:")
    expect(page).not_to_have_url(re.compile("baseline="))


@pytest.mark.parametrize("model", ["loans", "animals"])
def test_what_is_compared_with_fits_every_look(
    visitor: Visitor, console: str, looks: dict[str, Any], model: str
) -> None:
    with visitor(console, **looks) as visited:
        page = visited.open(f"#/try?model={model}")
        page.get_by_text("More options").click()
        name, chosen = ("Compared with", "row") if model == "loans" else ("What is left out shows", "picture")
        page.get_by_label(name).select_option(chosen)
        expect(page.locator(".another")).to_be_visible()
        screenshot(page, f"baseline-{model}-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []
