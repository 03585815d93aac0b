"""The audit log of a real server through the console: who may read it, and what a replay comes to."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from test_security_tokens import TokenFile
from test_tables import LOANS

from explicate import ALL, Client
from explicate_console.application import console_app
from explicate_console.console_settings import ConsoleSettings
from support.harness import TEXT, server_process

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:starlette")


@dataclass
class Asked:
    """A console before a server, as a browser asks it."""

    browser: TestClient
    log: Path
    server: str

    def get(self, path: str, token: str = "", **query: Any) -> tuple[int, Any]:
        answer = self.browser.get(f"/audit/{path}", params=query, headers=_bearer(token))
        return answer.status_code, answer.json()

    def replay(self, place: dict[str, Any], token: str = "", **given: Any) -> tuple[int, Any]:
        answer = self.browser.post("/audit/replay", json={**place, **given}, headers=_bearer(token))
        return answer.status_code, answer.json()

    def place(self, request_id: str, token: str = "") -> dict[str, Any]:
        """Where the log has a request's newest record."""
        status, found = self.get("records", token, request_id=request_id, size=1)
        assert status == 200, found
        return {"log": found["log"], "at": found["records"][0]["at"]}


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


@contextmanager
def asked(repository: Path, log: Path, *flags: str) -> Iterator[Asked]:
    with (
        server_process(repository, "--audit-log", str(log), "--threads", "1", *flags) as (_, server),
        console(server, log) as browser,
    ):
        yield Asked(browser, log, server)


@contextmanager
def console(server: str, log: Path | None) -> Iterator[TestClient]:
    app = console_app(ConsoleSettings(server=server, audit=log))
    with TestClient(app, base_url="http://127.0.0.1:8600") as browser:
        yield browser


def test_records_are_listed_read_and_repeated(tiny_repository: Path, tmp_path: Path) -> None:
    with asked(tiny_repository, tmp_path / "audit.jsonl", "--audit-inputs") as page:
        with Client(page.server) as client:
            answers = [
                client.explain("tiny", TEXT, request_id="order-1"),
                client.explain("tiny", TEXT, target=ALL, method="lime", seed=3, request_id="order-2"),
                client.explain("tiny", "good tea", output_space="logit", request_id="order-3"),
            ]
        status, found = page.get("records")
        assert status == 200
        assert [each["requestId"] for each in found["records"]] == ["order-3", "order-2", "order-1"]
        assert found["next"] is None
        for number, answer in enumerate(answers, start=1):
            place = page.place(f"order-{number}")
            status, told = page.get("record", **place)
            assert (status, told["unfit"], told["changed"]) == (200, "", False)
            assert told["wanted"] == {"input": False, "baseline": False}
            assert told["fields"]["attributions"] == [list(each.values) for each in answer.explanation.attributions]
            status, outcome = page.replay(place)
            assert (status, outcome["verdict"], outcome["repeated"]) == (200, "same", True)
            features = outcome["answer"]["result"]["explanation"]["features"]
            assert [each["text"]["text"] for each in features] == [each.text for each in answer.explanation.features]
        _, found = page.get("records", request_id="replay-")
        assert len(found["records"]) == 3, "a replay is a call like any other"


def test_an_input_that_the_log_has_not_is_given_and_must_be_the_same(table_repository: Path, tmp_path: Path) -> None:
    numbers, codes = LOANS.rows(1, seed=5)
    row = LOANS.cells(numbers[0], codes[0])
    with asked(table_repository, tmp_path / "audit.jsonl") as page:
        with Client(page.server) as client:
            client.explain("loans", row, request_id="loan-1")
        place = page.place("loan-1")
        assert page.get("record", **place)[1]["wanted"] == {"input": True, "baseline": False}
        status, told = page.replay(place)
        assert (status, told["reason"]) == (422, "unfit")
        assert "--audit-inputs" in told["message"]
        lines = page.log.read_text().count("\n")
        other = {name: 1.0 if isinstance(value, float) else value for name, value in row.items()}
        assert page.replay(place, input={"cells": other})[1]["verdict"] == "unknown"
        assert page.log.read_text().count("\n") == lines, "nothing is sent whose digest is another"
        assert page.replay(place, input={"cells": row})[1]["verdict"] == "same"


def changed(log: Path, **changes: Any) -> None:
    """Write the first record again as the newest, with other fields."""
    fields = json.loads(log.read_text().splitlines()[0])
    options = fields["options"] | changes.pop("options", {})
    with log.open("a") as file:
        file.write(json.dumps(fields | changes | {"options": options, "request_id": "changed"}) + "\n")


@pytest.mark.parametrize(
    ("changes", "verdict", "what"),
    [
        ({"version": 7}, "gone", "tiny/7"),
        ({"bundle_digest": "0" * 64, "options": {"seed": 9}}, "different", "bundle digest: 0000"),
        ({"runtime": "openvino", "options": {"seed": 9}}, "different", "runtime: openvino then, onnxruntime-cpu now"),
        ({"attributions": [[0.5]]}, "different", "the line was changed"),
        ({"options": {"method": "no-such"}}, "different", "the server refuses it now"),
    ],
)
def test_what_cannot_be_repeated_says_why(
    tiny_repository: Path, tmp_path: Path, changes: dict[str, Any], verdict: str, what: str
) -> None:
    with asked(tiny_repository, tmp_path / "audit.jsonl", "--audit-inputs") as page:
        with Client(page.server) as client:
            client.explain("tiny", TEXT, method="kernel-shap", seed=1, max_evaluations=60, tolerance=0.0)
        changed(page.log, **changes)
        status, outcome = page.replay(page.place("changed"))
    assert (status, outcome["verdict"], outcome["repeated"]) == (200, verdict, False)
    assert what in outcome["what"]


def test_without_a_log_the_page_is_told_so_and_the_server_is_not_asked() -> None:
    with console("127.0.0.1:1", None) as browser:
        for path in ("records", "record?at=0&log=x"):
            answer = browser.get(f"/audit/{path}")
            assert (answer.status_code, answer.json()["reason"]) == (200, "no_log")


def test_only_a_token_that_may_administer_reads_the_log(tiny_repository: Path, tmp_path: Path) -> None:
    tokens, log = TokenFile(tmp_path), tmp_path / "audit.jsonl"
    with asked(tiny_repository, log, "--tokens", str(tokens.path), "--audit-inputs") as page:
        with Client(page.server, token=tokens.secrets["all"]) as client:
            client.explain("tiny", TEXT, request_id="order-1")
        place = page.place("order-1", tokens.secrets["admin"])
        refusals = {"": 401, "no-such-token": 401}
        refusals |= {tokens.secrets[right]: 403 for right in ("predict", "explain", "override-standard")}
        for token, wanted in refusals.items():
            for status, told in (page.get("records", token), page.get("record", token, **place),
                                 page.replay(place, token)):  # fmt: skip
                assert status == wanted
                assert "admin" in told["message"]
                assert "order-1" not in json.dumps(told)
        assert page.get("records", tokens.secrets["admin"])[0] == 200
        status, told = page.replay(place, tokens.secrets["admin"])
        assert (status, told["reason"]) == (403, "call_failed"), "to explain is another right"
        assert page.replay(place, tokens.secrets["all"])[1]["verdict"] == "same"


def test_a_server_that_administers_elsewhere_cannot_say_who_may_read(tiny_repository: Path, tmp_path: Path) -> None:
    tokens, log = TokenFile(tmp_path), tmp_path / "audit.jsonl"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    flags = ("--tokens", str(tokens.path), "--admin-listen", admin, "--audit-inputs")
    with asked(tiny_repository, log, *flags) as page:
        status, told = page.get("records", tokens.secrets["admin"])
        assert status == 403
        assert "--admin-listen" in told["message"]
        with Client(page.server, token=tokens.secrets["explain"]) as client:
            client.explain("tiny", TEXT, request_id="order-1")
        with console(admin, log) as browser:
            operators = Asked(browser, log, admin)
            place = operators.place("order-1", tokens.secrets["admin"])
            status, told = operators.replay(place, tokens.secrets["admin"])
            assert (status, told["reason"]) == (422, "unfit")
            assert "explicate replay" in told["message"]


def test_nothing_is_shown_while_the_server_is_away(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text('{"time": "2026-11-01T00:00:00Z", "request_id": "order-1"}\n')
    with console("127.0.0.1:1", log) as browser:
        answer = browser.get("/audit/records")
    assert answer.status_code == 503
    assert "order-1" not in answer.text


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("records", {"since": "yesterday"}, 400),
        ("records", {"before": "-1"}, 400),
        ("records", {"before": "5", "log": "another"}, 409),
        ("record", {"log": "x"}, 400),
        ("record", {"at": "0", "log": "../../etc/passwd"}, 409),
        ("record", {"at": "9" * 16, "log": "another"}, 409),
        ("record", {"at": "9" * 40, "log": "another"}, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_a_sentence(
    tiny_repository: Path, tmp_path: Path, path: str, query: dict[str, str], status: int
) -> None:
    with asked(tiny_repository, tmp_path / "audit.jsonl") as page:
        answered, told = page.get(path, **query)
    assert (answered, bool(told["message"])) == (status, True)


def test_a_replay_is_asked_for_by_this_page_only(tiny_repository: Path, tmp_path: Path) -> None:
    with asked(tiny_repository, tmp_path / "audit.jsonl") as page:
        form = page.browser.post("/audit/replay", content="{}", headers={"content-type": "text/plain"})
        assert form.status_code == 415
        origin = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert page.browser.post("/audit/replay", json={}, headers=origin).status_code == 403
        assert page.browser.get("/audit/records", headers=origin).status_code == 403
        assert (
            page.browser.post("/audit/replay", content="[", headers={"content-type": "application/json"}).status_code
            == 400
        )
