"""The page Audit against a real server that writes a log: looking a request up, and its replay."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from explicate import ALL, Client
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from support.browser import Visit, Visitor, screenshot
from support.console import console_process
from support.harness import TEXT, server_process

ROW = {"income": 34.0, "purpose": "car", "age": 34.0, "owner": "false", "rating": "low", "debt_short": 3.0,
       "debt_long": 5.0}  # fmt: skip


@contextmanager
def logged(repository: Path, folder: Path, *flags: str) -> Iterator[tuple[str, str, Path]]:
    """A server that writes an audit log and a console that reads it: the URL, the server's address, the log."""
    log = folder / "audit.jsonl"
    with (
        server_process(repository, "--audit-log", str(log), "--threads", "1", *flags) as (_, server),
        console_process(server, "--audit", str(log)) as url,
    ):
        yield url, server, log


@pytest.fixture(scope="module")
def audited(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a console whose log has some requests with their inputs, and lines that somebody else wrote."""
    with logged(repository, tmp_path_factory.mktemp("audited"), "--audit-inputs") as (url, server, log):
        hostile = {
            "time": "2026-01-01T00:00:00Z",
            "request_id": "<b id=evil>bold</b>",
            "model": "\u202e" + "x" * 10_000,
            "version": 1,
            "caller": "token:<img src=x onerror=alert(1)>",
            "options": {"method": "🍵" * 300},
        }
        with log.open("a") as file:
            file.write(json.dumps(hostile) + "\n" + '{"time": "2026\n')
        with Client(server) as client:
            for number in range(60):
                client.explain("tiny", f"tea {number}", method="lime", seed=number, request_id=f"many-{number}")
            client.explain("loans", ROW, request_id="loan-1")
            client.explain("tiny", TEXT, target=ALL, request_id="order-17")
        yield url


@pytest.fixture
def page_of_log(visitor: Visitor, audited: str) -> Iterator[Visit]:
    with visitor(audited) as found:
        yield found


def replayed(page: Page) -> None:
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("heading", name="The same, bit for bit")).to_be_visible()


def test_the_page_is_whole_and_accessible_in_every_look(visitor: Visitor, audited: str, looks) -> None:  # type: ignore[no-untyped-def]
    with visitor(audited, **looks) as visited:
        page = visited.open("#/audit")
        expect(page.get_by_role("row")).to_have_count(51)
        screenshot(page, f"audit-list-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []
        visited.open("#/audit/order-17")
        replayed(page)
        expect(page.get_by_role("group", name="Text; arrow keys go from word to word")).to_be_visible()
        screenshot(page, f"audit-record-{looks['theme']}-{looks['width']}")
        assert visited.too_wide() == []
        assert visited.inaccessible() == []


def test_a_request_is_found_and_replayed_by_keyboard_alone(page_of_log: Visit) -> None:
    page = page_of_log.open("#/audit")
    page.get_by_label("Request id").focus()
    page.keyboard.type("loan-")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    for name in ("loan-1", "Replay"):
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == name:
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1, name="Request loan-1")).to_be_visible()
    expect(page.get_by_role("heading", name="The same, bit for bit")).to_be_visible()
    expect(page.get_by_label("As recorded, and now").get_by_text("purpose")).to_be_visible()


def test_records_are_narrowed_down_and_the_address_keeps_it(page_of_log: Visit) -> None:
    page = page_of_log.open("#/audit")
    page.get_by_text("Narrow down").click()
    page.get_by_label("Method").fill("lime")
    page.get_by_label("Caller").fill("127.0.0.1")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("row")).to_have_count(51)
    page.get_by_role("button", name="Show older records").click()
    expect(page.get_by_role("row")).to_have_count(61)
    expect(page.get_by_text("1 line that was met could not be read")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Method")).to_have_value("lime")
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_text("order-17")).to_be_visible()


def test_what_strangers_wrote_into_the_log_is_text(page_of_log: Visit) -> None:
    page = page_of_log.open("#/audit?until=2026-01-02T00:00:00Z")
    page.get_by_role("link", name="<b id=evil>bold</b>").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<b id=evil>")
    assert page.locator("#evil, img[src=x]").count() == 0
    expect(page.get_by_text("Something that a replay needs is not in this record")).to_be_visible()
    assert page_of_log.too_wide() == []


def test_a_request_that_is_not_in_the_log_says_what_that_may_mean(page_of_log: Visit) -> None:
    page = page_of_log.open("#/audit/never-asked")
    expect(page.get_by_text("The log has no record of never-asked")).to_be_visible()


def test_a_list_that_grows_moves_nothing_that_was_there(page_of_log: Visit) -> None:
    page = page_of_log.open("#/audit")
    expect(page.get_by_role("row")).to_have_count(51)
    page.get_by_role("button", name="Show older records").click()
    expect(page.get_by_text("These are all")).to_be_visible()
    assert page.get_by_role("row").count() > 60
    assert [shift for shift in page_of_log.shifts() if shift["value"] > 0.01] == []


def test_without_a_log_the_page_says_how_to_get_one(visited: Visit) -> None:
    page = visited.open("#/audit")
    expect(page.get_by_text("explicate console --audit audit.jsonl")).to_be_visible()
    page = visited.open("#/audit/order-17")
    expect(page.get_by_text("explicate serve --repository REPOSITORY --audit-log audit.jsonl")).to_be_visible()


def test_the_log_is_shown_to_a_token_that_may_administer(
    visitor: Visitor, tiny_repository: Path, tmp_path: Path
) -> None:
    secret, tokens = {right: new_token() for right in (Right.EXPLAIN, Right.ADMIN)}, tmp_path / "tokens"
    rights = {Right.EXPLAIN: {Right.EXPLAIN}, Right.ADMIN: {Right.EXPLAIN, Right.ADMIN}}
    lines = [line_of(Token(right.value, frozenset(rights[right]), digest_of(secret[right]))) for right in secret]
    tokens.write_text("\n".join(lines) + "\n")
    tokens.chmod(0o600)
    with logged(tiny_repository, tmp_path, "--tokens", str(tokens)) as (url, server, _), visitor(url) as visited:
        with Client(server, token=secret[Right.EXPLAIN]) as client:
            client.explain("tiny", "good tea", request_id="order-1")
        visited.expected.append("error: Failed to load resource")
        page = visited.open("#/audit/order-1")
        expect(page.get_by_text("wants a token with the right admin")).to_be_visible()
        give_token(page, secret[Right.EXPLAIN])
        expect(page.get_by_text("does not let this token administer")).to_be_visible()
        give_token(page, secret[Right.ADMIN])
        expect(page.get_by_text("the token “explain” asked", exact=False)).to_be_visible()
        page.get_by_role("textbox", name="Text").fill("bad tea")
        page.get_by_role("button", name="Replay").click()
        expect(page.get_by_role("heading", name="Cannot be compared")).to_be_visible()
        page.get_by_role("textbox", name="Text").fill("good tea")
        replayed(page)
        assert secret[Right.ADMIN] not in page.url


def give_token(page: Page, token: str) -> None:
    page.get_by_role("button", name="Token").click()
    page.get_by_label("Token for this server").fill(token)
    page.get_by_role("button", name="Use it").click()


def test_a_server_that_goes_away_is_told_and_the_page_goes_on(
    visitor: Visitor, tiny_repository: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    with (
        server_process(tiny_repository, "--audit-log", str(log)) as (process, server),
        console_process(server, "--audit", str(log)) as url,
        visitor(url) as visited,
    ):
        visited.expected.append("error: Failed to load resource")
        with Client(server) as client:
            client.explain("tiny", "good tea", request_id="order-1")
        page = visited.open("#/audit")
        expect(page.get_by_role("link", name="order-1")).to_be_visible()
        process.kill()
        process.wait()
        page.get_by_role("button", name="Look again").click()
        expect(page.get_by_text("so it is not shown")).to_be_visible()
