"""The page Try: every kind of input, wrong values told at their fields, parts changed in place, servers that fail."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from support.browser import Visit, screenshot
from support.console import console_process
from support.harness import server_process
from support.hostile_models import EMOJI, LONG, MARKUP, RIGHT_TO_LEFT
from support.tiny_image_bundle import png

SLOW_MS = 60_000  # until an answer comes on a busy machine
STREAM = "**/explicate.v1.InferenceService/StreamExplain"
PICTURE = png(np.random.default_rng(3).integers(0, 256, (32, 48, 3), dtype=np.uint8))
ROW = {"income": 1200, "purpose": "home", "debt_short": 3, "owner": "true", "age": 40, "rating": "high", "debt_long": 4}
MANY_WORDS = " ".join(f"great{place} movie" for place in range(30))


def progress(page: Page) -> Locator:
    """The line that says how far the work is."""
    return page.locator(".progress p").first


def is_final(page: Page) -> None:
    expect(progress(page)).to_have_text(re.compile(r"^Final after [\d,]+ evaluations"), timeout=SLOW_MS)


def give_row(page: Page, row: dict[str, object]) -> None:
    """Fill in a row by pasting it."""
    page.get_by_text("Paste a row").click()
    page.get_by_label("CSV with its heading, or a JSON object").fill(json.dumps(row))


def explained_text(visited: Visit, text: str, options: str = "") -> Page:
    page = visited.open(f"#/try?model=tiny{options}")
    page.get_by_label("Text", exact=True).fill(text)
    page.keyboard.press("Control+Enter")
    return page


def test_a_text_is_explained_by_the_keyboard_alone(visited: Visit) -> None:
    page = explained_text(visited, "a great movie")
    is_final(page)
    expect(page.locator(".explained")).to_contain_text("movie")
    expect(page.locator(".mark-told")).to_contain_text("The model answers")


def test_a_link_fills_in_the_form_and_sends_nothing(visited: Visit) -> None:
    page = visited.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "Inference" in request.url else None)
    visited.open("#/try?model=loans&method=exact-shap&seed=7&row=" + json.dumps({"income": "12", "age": None}))
    expect(page.get_by_label("income", exact=True)).to_have_value("12")
    expect(page.get_by_label("age is missing")).to_be_checked()
    expect(page.get_by_label("Method")).to_have_value("exact-shap")
    expect(page.get_by_label("Seed")).to_have_value("7")
    assert asked == []


def test_the_address_has_the_options_and_never_the_input(visited: Visit) -> None:
    page = explained_text(visited, "a secret movie", "&seed=5")
    is_final(page)
    assert "seed=5" in page.url
    assert "secret" not in page.url


def test_a_row_is_pasted_explained_changed_and_set_back(visited: Visit) -> None:
    page = visited.open("#/try?model=loans")
    give_row(page, {**ROW, "other": 1})
    expect(
        page.get_by_text("7 columns are filled in. Passed over, since the model does not read it: other.")
    ).to_be_visible()
    page.get_by_role("button", name="Explain", exact=True).click()
    is_final(page)
    before = page.locator(".mark-prediction").inner_text()
    page.get_by_role("button", name=re.compile("^income: 1200")).click()
    edit = page.get_by_role("form", name="Change income")
    expect(edit.get_by_role("textbox")).to_be_focused()
    edit.get_by_role("textbox").fill("5")
    page.keyboard.press("Enter")
    moved = page.get_by_role("region", name="What the change did")
    expect(moved.locator("tbody tr")).to_have_count(3)
    expect(moved.locator("tbody td").last).to_have_text(re.compile(r"^[+-][\d.]+ points$"))
    expect(page.get_by_label("income", exact=True).first).to_have_value("5")
    moved.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("income", exact=True)).to_have_value("1200")
    assert page.locator(".mark-prediction").inner_text() == before


def test_a_word_is_left_out_in_its_place(visited: Visit) -> None:
    page = explained_text(visited, "a great movie")
    is_final(page)
    page.locator(".explained").get_by_role("button", name=re.compile("great")).first.click()
    page.get_by_role("button", name="Leave it out").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value("a movie")
    expect(page.get_by_role("region", name="What the change did")).to_contain_text("without")


def test_each_wrong_value_is_told_at_its_field_before_anything_is_sent(visited: Visit) -> None:
    page = visited.open("#/try?model=loans&seed=-1&confidence=3")
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_label("income", exact=True)).to_be_focused()
    expect(page.get_by_label("income", exact=True)).to_have_accessible_description(re.compile("is empty; give a value"))
    expect(page.get_by_label("Seed")).to_have_accessible_description(re.compile("must be between 0 and 4,294,967,295"))
    expect(page.get_by_label("Confidence")).to_have_accessible_description(re.compile("must be between 0.5 and 0.999"))


def test_what_only_the_server_finds_wrong_is_told_at_its_field_and_focused(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = explained_text(visited, "a great movie", "&method=lime&interactions=3")
    expect(page.get_by_label("Interactions")).to_be_focused()
    expect(page.get_by_label("Interactions")).to_have_accessible_description(
        re.compile("lime does not tell interactions")
    )


PNG_HEAD = b"\x89PNG\r\n\x1a\n" + bytes(8)
BAD_PICTURES = {
    "empty": (b"", "is empty; give the bytes of an image file"),
    "text": (b"hello", "is no PNG, JPEG, WebP, GIF, BMP or TIFF file"),
    "pixels": (PNG_HEAD + (100_000).to_bytes(4, "big") + (10_000).to_bytes(4, "big"),
               "declares 100,000 x 10,000 pixels; at most 32,000,000 are accepted"),
    "bytes": (b"\xff\xd8\xff" + bytes(9 << 20), "has 9,437,187 bytes; at most 8,388,608 are accepted"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_PICTURES)
def test_a_picture_the_server_would_refuse_is_refused_in_its_words(visited: Visit, bad: str) -> None:
    content, told = BAD_PICTURES[bad]
    page = visited.open("#/try?model=animals")
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": content}
    )
    expect(page.locator(".field-error")).to_have_text(told)


def test_a_picture_is_explained(visited: Visit) -> None:
    page = visited.open("#/try?model=animals")
    page.get_by_label("Picture", exact=True).set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": PICTURE}
    )
    expect(page.locator(".preview img")).to_be_visible()
    page.get_by_role("button", name="Explain", exact=True).click()
    is_final(page)
    expect(page.locator(".mark-overlay")).to_be_visible()


def test_a_prediction_alone_is_asked_without_an_explanation(visited: Visit) -> None:
    page = visited.open("#/try?model=losses")
    give_row(page, ROW)
    page.get_by_role("button", name="Predict only").click()
    expect(progress(page)).to_have_text(re.compile("^Predicted in"))
    expect(page.locator(".mark-prediction")).to_contain_text("loss in euros")
    expect(page.locator(".explained")).to_have_count(0)


def test_estimates_are_drawn_as_they_come_and_nothing_shifts(visited: Visit) -> None:
    page = explained_text(visited, MANY_WORDS, "&method=kernel-shap&maxEvaluations=8000&tolerance=0&seed=11")
    expect(progress(page)).to_have_text(re.compile("^Estimate after"))
    expect(page.locator(".numbers")).to_be_visible()
    page.evaluate("window.shifts.length = 0")
    is_final(page)
    assert sum(shift["value"] for shift in visited.shifts()) < 0.02, visited.shifts()


def test_stop_keeps_the_estimate_and_says_that_it_is_not_final(visited: Visit) -> None:
    page = explained_text(visited, MANY_WORDS, "&method=kernel-shap&maxEvaluations=16000&tolerance=0&seed=12")
    expect(progress(page)).to_have_text(re.compile("^Estimate after"))
    page.get_by_role("button", name="Stop").click()
    expect(progress(page)).to_have_text(re.compile("^Stopped by you .* This estimate is not final.$"))
    expect(page.locator(".explained")).to_contain_text("great29")


def test_a_server_that_dies_leaves_its_estimate_and_may_be_asked_again(visitor, tiny_repository: Path) -> None:  # type: ignore[no-untyped-def]
    with (
        server_process(tiny_repository, "--threads", "1") as (process, address),
        console_process(address) as url,
        visitor(url) as visited,
    ):
        visited.expected.append("error: Failed to load resource")
        page = explained_text(visited, MANY_WORDS, "&method=kernel-shap&maxEvaluations=16000&tolerance=0&seed=13")
        expect(progress(page)).to_have_text(re.compile("^Estimate after"))
        process.send_signal(signal.SIGSTOP)
        expect(progress(page)).to_have_text(re.compile("nothing new for .* The server may be busy.$"), timeout=SLOW_MS)
        process.kill()
        expect(page.locator(".failure")).to_contain_text("The server cannot be reached")
        expect(progress(page)).to_have_text(re.compile("^Broke off after .* This estimate is not final.$"))
        expect(page.locator(".explained")).to_contain_text("great29")
        page.get_by_role("button", name="Retry").click()
        expect(progress(page)).to_have_text(re.compile("^Failed after"))


def test_a_full_server_is_asked_again_when_it_says(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    refused = {
        "code": "resource_exhausted",
        "message": "no room",
        "details": [{"type": "google.rpc.RetryInfo", "value": "", "debug": {"retryDelay": "0.300s"}}],
    }
    answers = iter([True, True])

    def refuse(route: Route) -> None:
        if next(answers, False):
            route.fulfill(status=429, content_type="application/json", body=json.dumps(refused))
        else:
            route.continue_()

    visited.page.route(STREAM, refuse)
    page = explained_text(visited, "a great movie")
    is_final(page)
    assert next(answers, None) is None


def test_the_call_as_code_has_what_was_asked(visited: Visit) -> None:
    page = explained_text(visited, "it's a great movie", "&seed=5&target=contrast")
    is_final(page)
    page.get_by_text("Take it along").click()
    expect(page.get_by_label("The call as curl")).to_contain_text("it'\\''s a great movie")
    expect(page.get_by_label("The call as Python")).to_contain_text(
        'target=explicate.Contrast("other", "great"), seed=5'
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert saved["request"]["spec"]["options"]["seed"] == 5
    assert saved["response"]["final"] is True


def test_hostile_names_and_values_are_shown_and_do_nothing(visitor, console: str, looks) -> None:  # type: ignore[no-untyped-def]
    with visitor(console, **looks) as visited:
        page = visited.open("#/try?model=hostile")
        give_row(page, {MARKUP: 3, RIGHT_TO_LEFT: LONG, EMOJI: 1, "w" * 200: 2})
        page.get_by_role("button", name="Explain", exact=True).click()
        is_final(page)
        page.locator(".explained").get_by_role("button").first.click()
        page.get_by_role("form").get_by_role("textbox").fill("5")
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="What the change did").locator("tbody td").last).to_have_text(
            re.compile("points")
        )
        is_final(page)
        screenshot(page, f"try-hostile-{looks['theme']}-{looks['width']}")
        assert page.evaluate("window.hacked") is None
        assert visited.too_wide() == []
        assert visited.inaccessible() == []


@pytest.mark.parametrize("model", ["tiny", "loans", "animals"])
def test_an_answer_is_whole_and_accessible_in_every_look(model: str, visitor, console: str, looks) -> None:  # type: ignore[no-untyped-def]
    with visitor(console, **looks) as visited:
        page = visited.open(f"#/try?model={model}&interactions=3&change=1")
        if model == "tiny":
            page.get_by_label("Text", exact=True).fill("a great movie")
        elif model == "loans":
            give_row(page, ROW)
        else:
            page.get_by_label("Picture", exact=True).set_input_files(
                {"name": "x.png", "mimeType": "image/png", "buffer": PICTURE}
            )
        page.get_by_role("button", name="Explain", exact=True).click()
        is_final(page)
        expect(page.get_by_role("region", name="The smallest change")).to_be_visible()
        screenshot(page, f"try-{model}-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []


def test_rows_are_read_as_people_paste_them(visited: Visit) -> None:
    page = visited.open("#/try?model=loans")
    read = """async (pasted) => {
      const { readRow } = await import("/static/forms/pasted_row.js");
      const { cells, passedOver, problem } = readRow(pasted, ["a", "b, c", "__proto__"].map((name) => ({ name })));
      return { cells: Object.entries(cells), passedOver, problem };
    }"""
    whole = [["a", "1,5"], ["b, c", 'say "no"'], ["__proto__", None]]
    for pasted in (
        'a;"b, c";__proto__\n1,5;"say ""no""";\n',
        'a\tb, c\t__proto__\r\n1,5\t"say ""no"""\t\r\n',
        '"1,5","say ""no""",',
        '{"a": "1,5", "b, c": "say \\"no\\"", "__proto__": null}',
    ):
        assert page.evaluate(read, pasted) == {"cells": whole, "passedOver": [], "problem": ""}, pasted
    assert "None of the columns" in page.evaluate(read, '{"x": 1}')["problem"]
    assert "no row below it" in page.evaluate(read, "a,x")["problem"]
    assert "cannot be read" in page.evaluate(read, '{"a": ')["problem"]


def test_a_wrong_token_is_told_with_what_to_do(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    refused = {"code": "unauthenticated", "message": "no token of this server"}
    visited.page.route(STREAM, lambda route: route.fulfill(status=401, json=refused))
    page = explained_text(visited, "a great movie")
    expect(page.get_by_role("alert")).to_contain_text("Give it by the button Token at the top")
    expect(page.get_by_role("alert")).to_contain_text("no token of this server")
