"""What people see while a server streams, is slow, dies, comes back, or does not take their token."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from explicate.cli.main import main
from support.browser import Visitor
from support.console import console_process
from support.growing_server import growing_server
from support.harness import TEXT, server_process

MANY_WORDS = " ".join(f"{word}{number}" for number in range(3) for word in TEXT.split())
GONE = "error: Failed to load resource: the server responded with a status of 503"


def explained(page: Page, text: str = TEXT) -> None:
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Explain", exact=True).click()


def test_a_stream_of_20_estimates_is_drawn_without_a_shift(visitor: Visitor, server: str) -> None:
    with growing_server(server, 24) as growing, console_process(growing) as url, visitor(url) as visited:
        page = visited.open("#/try?model=tiny&method=kernel-shap")
        page.get_by_label("Text", exact=True).fill(TEXT)
        page.evaluate("""() => {
            window.drawn = new Set();
            const answer = document.querySelector("section.answer");
            new MutationObserver(() => {
              const count = /^Estimate after ([\\d,]+)/.exec(answer.innerText);
              if (count) window.drawn.add(count[1]);
            }).observe(answer, {subtree: true, childList: true, characterData: true, attributes: true});
            window.shifts.length = 0;
        }""")
        page.get_by_role("button", name="Explain", exact=True).click()
        expect(page.get_by_text("Final after")).to_be_visible(timeout=60_000)
        assert page.evaluate("window.drawn.size") >= 20
        assert visited.shifts() == []


def test_a_server_that_dies_leaves_the_last_estimate_and_is_found_again(visitor: Visitor, repository: Path) -> None:
    with ExitStack() as held:
        process, address = held.enter_context(server_process(repository, "--threads", "1"))
        visited = held.enter_context(visitor(held.enter_context(console_process(address))))
        visited.expected += [GONE, "error: Failed to load resource: net::ERR"]
        page = visited.open("#/try?model=tiny&method=kernel-shap&tolerance=0.0001")
        explained(page, MANY_WORDS)
        expect(page.get_by_text("It still moves.")).to_be_visible()
        process.kill()
        process.wait()
        expect(page.get_by_text("This estimate is not final.")).to_be_visible()
        expect(page.get_by_role("alert").first).to_be_visible()
        expect(page.locator("section.answer").get_by_text("never").first).to_be_visible()
        held.enter_context(server_process(repository, "--threads", "1", "--listen", address))
        page.get_by_label("Text", exact=True).fill(TEXT)
        page.get_by_role("button", name="Explain", exact=True).click()
        expect(page.get_by_text("Final after")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_slow_server_can_be_waited_for_or_stopped(visitor: Visitor, repository: Path) -> None:
    with (
        server_process(repository, "--threads", "1") as (process, address),
        console_process(address) as url,
        visitor(url) as visited,
    ):
        page = visited.open("#/try?model=tiny")
        page.get_by_label("Text", exact=True).fill(TEXT)
        visited.expected += [GONE, "error: Failed to load resource: the server responded with a status of 504"]
        process.send_signal(signal.SIGSTOP)
        try:
            page.get_by_role("button", name="Explain", exact=True).click()
            page.get_by_role("button", name="Stop", exact=True).click()
            expect(page.get_by_role("button", name="Stop", exact=True)).to_be_disabled()
            page.get_by_role("button", name="Explain", exact=True).click()
        finally:
            process.send_signal(signal.SIGCONT)
        expect(page.get_by_text("Final after")).to_be_visible(timeout=60_000)


def test_a_wrong_token_is_said_in_a_sentence_and_a_right_one_helps(
    visitor: Visitor, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = tmp_path / "tokens"
    assert main(["token", "create", "tester", "--rights", "predict,explain", "--tokens", str(tokens)]) == 0
    token = capsys.readouterr().out.strip()
    with (
        server_process(repository, "--threads", "1", "--tokens", str(tokens)) as (_, address),
        console_process(address) as url,
        visitor(url) as visited,
    ):
        visited.expected.append("error: Failed to load resource: the server responded with a status of 401")
        page = visited.open("#/try")
        expect(page.get_by_role("status").filter(has_text="token")).to_be_visible()
        give(page, "Token", "not-a-token")
        expect(page.get_by_role("status").filter(has_text="token")).to_be_visible()
        give(page, "Token held", token)
        expect(page.get_by_label("Name")).to_contain_text("tiny")
        expect(page.get_by_role("status").filter(has_text="token")).to_have_count(0)


def give(page: Page, button: str, token: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_label("Token for this server").fill(token)
    page.get_by_role("button", name="Use it").click()
