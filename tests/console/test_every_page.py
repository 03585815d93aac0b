"""What holds for every page: in every look, by keyboard, for screen readers, with nothing from elsewhere."""

import pytest
from playwright.sync_api import Page, Request, expect

from explicate.sentences.glossary import glossary
from support.browser import Visit, Visitor, screenshot

PAGES = ("try", "compare", "models", "rows", "audit")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_whole_and_accessible_in_every_look(name, visitor, console, looks) -> None:  # type: ignore[no-untyped-def]
    with visitor(console, **looks) as visited:
        page = visited.open(f"#/{name}")
        page.wait_for_load_state("networkidle") if name != "models" else page.wait_for_timeout(500)
        expect(page.locator("main h1")).to_have_count(1)
        expect(page.locator("nav a[aria-current=page]")).to_have_text(name.title())
        screenshot(page, f"{name}-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []


def test_pages_are_reached_by_keyboard_alone(visited: Visit) -> None:
    page = visited.open("#/audit")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Models":
            break
    page.keyboard.press("Enter")
    expect(page.locator("nav a[aria-current=page]")).to_have_text("Models")
    expect(page).to_have_title("Models · Explicate")


def test_the_skip_link_leads_past_the_navigation(visited: Visit) -> None:
    page = visited.open("#/try")
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_an_unknown_page_says_so(visited: Visit) -> None:
    visited.page.goto(f"{visited.url}/#/nowhere")
    expect(visited.page.get_by_text("There is no page of this name")).to_be_visible()


def test_the_first_paint_takes_at_most_150_kilobytes(visited: Visit) -> None:
    answered: list[Request] = []
    visited.page.on("requestfinished", lambda request: answered.append(request))
    visited.open("#/try")
    visited.page.wait_for_load_state("networkidle")
    assert len(answered) > 5
    sizes = [request.sizes() for request in answered]
    assert sum(size["responseHeadersSize"] + size["responseBodySize"] for size in sizes) <= 150_000


def test_a_word_of_art_tells_what_it_means_to_the_keyboard_and_is_fetched_then(visited: Visit) -> None:
    asked: list[str] = []
    visited.page.on("request", lambda request: asked.append(request.url) if "/words.json" in request.url else None)
    page = visited.open("#/models/tiny")
    page.locator("details.meaning > summary", has_text="accuracy").focus()
    assert asked == []
    meaning = page.get_by_text(glossary()["report"]["accuracy"].says[1:])
    page.keyboard.press("Enter")
    expect(meaning).to_be_visible()
    assert len(asked) == 1
    assert visited.inaccessible() == []
    page.keyboard.press("Enter")
    expect(meaning).to_be_hidden()


def test_a_token_stays_in_the_tab_and_out_of_the_address(visited: Visit) -> None:
    page = visited.open("#/try")
    page.get_by_role("button", name="Token").click()
    page.get_by_label("Token for this server").fill("secret-token")
    with page.expect_request("**/explicate.v1.ModelService/ListModels") as asked:
        page.get_by_role("button", name="Use it").click()
    assert asked.value.headers["authorization"] == "Bearer secret-token"
    assert "secret-token" not in page.url
    assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
    page.get_by_role("button", name="Token held").click()
    page.get_by_label("Token for this server").fill("")
    with page.expect_request("**/explicate.v1.ModelService/ListModels") as asked:
        page.get_by_role("button", name="Use it").click()
    assert "authorization" not in asked.value.headers


LOOKS = """[...document.querySelectorAll("main, main *")].map((each) => {
  const style = getComputedStyle(each);
  return [each.nodeName, String(each.className?.baseVal ?? each.className), style.color, style.backgroundColor,
    style.display, style.fontSize, style.margin, style.padding].join(" ");
})"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_the_same_after_the_others_were_seen(name: str, visitor: Visitor, console: str) -> None:
    with visitor(console) as visited:
        first = settled(visited.open(f"#/{name}"))
    with visitor(console) as visited:
        page = visited.open("#/try")
        for other in (*PAGES, name):
            page.locator("nav a", has_text=other.title()).click()
            expect(page).to_have_title(f"{other.title()} · Explicate")
            expect(page.locator("main h1")).to_be_visible()
        assert settled(page) == first


def settled(page: Page) -> list[str]:
    """What each element of the page looks like, once it no longer changes."""
    page.wait_for_function(
        f"""() => {{
          const now = JSON.stringify({LOOKS}), same = now === window.before;
          window.before = now;
          return same && !document.querySelector("[aria-busy=true]");
        }}""",
        polling=400,
    )
    found: list[str] = page.evaluate(LOOKS)
    return found
