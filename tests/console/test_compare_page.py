"""The page Compare: two answers of a real server beside each other, and how far they are apart."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from support.browser import Visit, screenshot
from support.console import ask, console_process
from support.harness import server_process
from support.hostile_models import MARKUP
from support.versions import copy_with_constant_version

TEXT = "the movie was really good and not bad at all but some actors were rather poor"


@pytest.fixture(scope="module")
def versions_console(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console before a server whose model "tiny" has a live version 2, which answers a constant, and a version 1."""
    repository = copy_with_constant_version(tiny_repository, tmp_path_factory.mktemp("compare") / "repository")
    with server_process(repository, "--threads", "1") as (_, address), console_process(address) as url:
        assert ask(url, "/explicate.v1.ModelService/LoadModel", {"model": "tiny", "version": 1}).status == 200
        yield url


def _open(visited: Visit, query: str, *texts: str) -> Page:
    """The page with these choices, and the texts filled in."""
    page = visited.open(f"#/compare?{query}")
    for place, text in enumerate(texts):
        page.locator(".input-form textarea").nth(place).fill(text)
    return page


def _compare(page: Page) -> None:
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("table.pairs, .sides [role=alert]").first).to_be_visible()


def _rows(page: Page) -> dict[str, list[str]]:
    """The cells of the table of pairs by the name of the part; the plot's cell is left out."""
    found = {}
    for row in page.locator("table.pairs tbody tr").all():
        cells = [" ".join(cell.inner_text().split()) for cell in row.get_by_role("cell").all()]
        found[row.get_by_role("rowheader").inner_text().split("\n")[0]] = cells[1:]
    return found


def _explained(url: str, **options: Any) -> dict[str, tuple[float, float]]:
    """Value and half width of each word, as the server answers them."""
    spec = {"model": {"model": "tiny"}, "input": {"text": {"text": TEXT}}, "options": options}
    answer = ask(url, "/explicate.v1.InferenceService/Explain", {"spec": spec}).json["result"]["explanation"]
    told = answer["attributions"][0]
    return {
        feature["text"]["text"]: (value, (upper - lower) / 2)
        for feature, value, lower, upper in zip(
            answer["features"], told["values"], told["lower"], told["upper"], strict=True
        )
    }


def test_each_difference_has_the_half_width_of_two_independent_estimates(visited: Visit) -> None:
    page = _open(visited, "differs=classes&model=tiny&a=other&b=great&method=kernel-shap&maxEvaluations=64", TEXT)
    _compare(page)
    shared = {"method": "kernel-shap", "maxEvaluations": 64}
    left = _explained(visited.url, **shared, target={"label": "other"}, seed=0)
    right = _explained(visited.url, **shared, target={"label": "great"}, seed=1)
    shown = _rows(page)
    assert set(left) == set(shown)
    verdicts = set()
    for word, cells in shown.items():
        apart, half = right[word][0] - left[word][0], math.hypot(left[word][1], right[word][1])
        figure, _, margin, *verdict = cells[2].removeprefix("B − A ").split()
        assert [float(figure), float(margin)] == pytest.approx([apart, half], abs=0.0006)
        assert " ".join(verdict) == ("differs" if abs(apart) > half else "may be chance")
        verdicts.add(" ".join(verdict))
    assert verdicts == {"differs", "may be chance"}
    figures = [abs(float(cells[2].split()[3])) for cells in shown.values()]
    assert figures == sorted(figures, reverse=True)


def test_two_versions_are_told_by_the_same_class(visitor, versions_console) -> None:  # type: ignore[no-untyped-def]
    with visitor(versions_console) as visited:
        page = _open(visited, "differs=versions&model=tiny", "good film")
        expect(page.get_by_role("group", name="B: model").get_by_label("Version")).to_have_value("version:1")
        _compare(page)
        expect(page.locator(".sides .side").nth(0)).to_contain_text("tiny version 2")
        expect(page.locator(".sides .side").nth(1)).to_contain_text("tiny version 1")
        rows = _rows(page)
        assert set(rows) == {"good", "film"}
        assert all(cells[0] == "A +0.000 exact" for cells in rows.values())  # a constant is moved by no word
        told = page.locator(".in-short").inner_text()
        assert "2 of 2 words get another number in B. Both sides are exact" in told
        page.get_by_label("Class that is explained").select_option("great")
        expect(page.locator(".in-short")).to_contain_text("The probability of “\u2068great\u2069” is 32.1% in A")
        assert "good" not in page.url
        assert "film" not in page.url


def test_a_contrast_is_one_number_for_each_word(visited: Visit) -> None:
    page = _open(visited, "differs=contrast&model=tiny&a=great&b=other&maxEvaluations=64&method=kernel-shap", TEXT)
    _compare(page)
    contrast = {"contrast": {"target": {"label": "great"}, "reference": {"label": "other"}}}
    told = _explained(visited.url, method="kernel-shap", maxEvaluations=64, target=contrast)
    for word, cells in _rows(page).items():
        figure, _, margin = cells[2].removeprefix("A − B ").split()[:3]
        assert [float(figure), float(margin)] == pytest.approx(told[word], abs=0.0006)
    expect(page.locator(".cautions")).to_contain_text("not the two columns subtracted")


def test_a_word_of_several_places_meets_all_of_them(visited: Visit) -> None:
    page = _open(visited, "differs=methods&model=tiny&a=kernel-shap&b=lime", "the film and the plot")
    _compare(page)
    expect(page.locator("table.pairs tbody tr", has_text="2 of A, 1 of B, summed")).to_have_count(1)
    expect(page.locator(".cautions")).to_contain_text("A leaves parts out by “attention”, B by “delete”")


def test_two_inputs_show_what_was_changed_and_what_is_new(visited: Visit) -> None:
    page = _open(visited, "differs=inputs&model=tiny", "the film was good", "the film was bad and so long")
    _compare(page)
    assert {name: cells[0] for name, cells in _rows(page).items()}["long"] == "A not there"
    page.locator(".input-form textarea").nth(1).fill("the film was bad")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("table.pairs").get_by_role("rowheader", name="good → bad")).to_be_visible()
    assert "film" not in page.url


def test_a_side_that_fails_leaves_the_other_its_answer(visited: Visit) -> None:
    visited.expected.append("error: Failed to load resource")
    page = _open(visited, "differs=methods&model=tiny&a=exact-shap&b=kernel-shap&maxEvaluations=64", TEXT)
    _compare(page)
    left, right = page.locator(".sides .side").all()
    expect(left.get_by_role("alert")).to_contain_text("exact-shap needs")
    expect(right).to_contain_text("64 evaluations in")
    expect(page.get_by_role("main").get_by_text("A failed.")).to_be_visible()
    expect(page.locator("table.pairs")).to_have_count(0)
    expect(left.get_by_role("button", name="Ask this side again")).to_be_enabled()


@contextmanager
def _held(page: Page) -> Iterator[list[Route]]:
    """Explanations that are asked for meanwhile get no answer."""
    held: list[Route] = []
    page.route("**/*StreamExplain", lambda route: held.append(route))  # a built-in function is none of Playwright's
    yield held
    page.unroute("**/*StreamExplain")


def test_a_cancelled_side_can_be_asked_again(visited: Visit) -> None:
    page = _open(visited, "differs=versions&model=tiny", "good film")
    with _held(page):
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page.get_by_text("A and B are asked.")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("A and B were cancelled.")).to_be_visible()
    for button in page.get_by_role("button", name="Ask this side again").all()[::-1]:
        button.click()
    expect(page.get_by_text("A and B answered.")).to_be_visible()
    expect(page.locator("table.pairs")).to_be_visible()


def test_a_link_brings_back_every_choice_but_the_input(visited: Visit) -> None:
    page = _open(visited, "differs=methods&model=loans&a=lime&b=exact-shap&confidence=0.8")
    expect(page.get_by_label("Two methods")).to_be_checked()
    expect(page.get_by_label("A: method")).to_have_value("lime")
    expect(page.get_by_label("B: method")).to_have_value("exact-shap")
    page.get_by_text("More options").click()
    expect(page.get_by_label("Confidence")).to_have_value("0.8")


def test_a_number_has_no_classes_to_compare(visited: Visit) -> None:
    page = _open(visited, "differs=classes&model=losses")
    expect(page.locator(".notice")).to_have_text("This model answers a number: it has no classes to compare.")
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_disabled()


def test_an_empty_text_is_told_at_its_field_and_asks_nobody(visited: Visit) -> None:
    asked: list[str] = []
    visited.page.on("request", lambda request: asked.append(request.url))
    page = _open(visited, "differs=inputs&model=tiny", "good film")
    page.get_by_role("button", name="Compare", exact=True).click()
    second = page.locator(".input-form textarea").nth(1)
    expect(second).to_be_focused()
    expect(second).to_have_attribute("aria-invalid", "true")
    assert not [url for url in asked if "Explain" in url]


def test_everything_is_reached_by_keyboard(visited: Visit) -> None:
    page = _open(visited, "differs=versions&model=tiny")
    page.get_by_label("Two versions").focus()
    page.keyboard.press("ArrowUp")  # to the last one
    expect(page.get_by_label("Two inputs")).to_be_checked()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Two methods")).to_be_checked()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.type("good film")
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Compare":
            break
    page.keyboard.press("Enter")
    expect(page.locator("table.pairs")).to_be_visible()


def test_a_comparison_is_whole_and_accessible_in_every_look(visitor, console, looks) -> None:  # type: ignore[no-untyped-def]
    with visitor(console, **looks) as visited:
        page = _open(visited, "differs=methods&model=tiny&a=kernel-shap&b=lime", TEXT)
        _compare(page)
        expect(page.get_by_text("A and B answered.")).to_be_visible()
        screenshot(page, f"compared-{looks['theme']}-{looks['width']}")
        left, right = [side.bounding_box() for side in page.locator(".sides .side").all()]
        assert left
        assert right
        assert (left["x"] == right["x"]) == (looks["width"] == 390)  # below each other, or beside
        assert [shift for shift in visited.shifts() if shift["value"] > 0.01] == []  # while both streams grew
        assert visited.too_wide() == []
        assert visited.inaccessible() == []


def test_hostile_names_of_classes_and_columns_are_only_shown(visitor, console) -> None:  # type: ignore[no-untyped-def]
    with visitor(console, width=390) as visited:
        page = _open(visited, "differs=classes&model=hostile")
        page.get_by_role("button", name="Fill in typical values").click()
        _compare(page)
        expect(page.get_by_text("A and B answered.")).to_be_visible()
        screenshot(page, "compared-hostile")
        assert MARKUP in page.locator("table.pairs").inner_text()
        assert page.evaluate("window.hacked") is None
        assert visited.too_wide() == []
        assert visited.inaccessible() == []
