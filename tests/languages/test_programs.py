"""The examples in Go and Java, built here and run against real servers: `make test-languages`.

Each prints the golden calls' lines, and says what is wrong in words that help where something is.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from explicate import Client, Tls
from explicate.v1 import model_service_pb2_grpc as services
from explicate_server.errors import Overloaded
from explicate_server.rpc.error_catalogue import to_status
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from languages.golden_call import ROW, Golden, golden_calls, lines
from languages.programs import EXAMPLES, TOOLCHAINS, Program
from support.certificates import Authority

pytestmark = pytest.mark.timeout(1000)  # the first one builds
_NO_SERVER = "no server can be talked to there"


@pytest.fixture(scope="module", params=list(TOOLCHAINS))
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The example of a language, built."""
    return TOOLCHAINS[request.param].build(tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("language", list(TOOLCHAINS))
def test_documentation_names_what_to_install(language: str) -> None:
    documentation = (EXAMPLES.parent / "docs" / "languages.md").read_text(encoding="utf-8")
    (line,) = [
        line for line in documentation.replace("\\\n    ", "").splitlines() if TOOLCHAINS[language].packages in line
    ]
    assert line == f"apt-get install {TOOLCHAINS[language].packages}"


@pytest.mark.parametrize("name", ["text", "row"])
def test_prints_the_golden_lines(program: Program, golden: Golden, name: str) -> None:
    call = golden.call(name)
    printed = program.ask(golden.address, call)
    assert printed.lines == call.expected["lines"]
    assert printed.code == 0
    assert f"{call.model} version 1, OBJECTIVE_CLASSIFICATION" in printed.told


def test_last_answer_of_a_stream_is_printed_and_the_others_are_told(program: Program, golden: Golden) -> None:
    call = golden.call("text")
    printed = program.ask(golden.address, call, "--stream")
    assert printed.lines == call.expected["lines"]
    assert "evaluations, the widest interval is" in printed.told


def test_hostile_text_is_explained_as_python_has_it(program: Program, golden: Golden) -> None:
    text = ("\u202eשלום 🍵👩‍👩‍👧 e\u0301tat " * 500)[:10_000]
    call = replace(golden.call("text"), text=text)
    with Client(golden.address) as client:
        expected = lines(client.explain("tiny", text, method="kernel-shap", seed=7, max_evaluations=256))
    assert program.ask(golden.address, call).lines == expected


@pytest.mark.parametrize("model", ["losses", "duties"])
def test_numbers_and_several_labels_are_printed(program: Program, golden: Golden, model: str) -> None:
    with Client(golden.address) as client:
        expected = lines(client.explain(model, ROW, method="auto", seed=7, top_k=2))
    assert program.ask(golden.address, replace(golden.call("row"), model=model)).lines == expected


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "tinny"}, ["reason: MODEL_NOT_FOUND", "there is no model tinny"]),
        ({"method": "magic"}, ["reason: UNKNOWN_METHOD", "field options.method: 'magic' is not a method"]),
        ({"text": " "}, ["reason: INVALID_FIELD", "field input.text: is empty"]),
        ({"text": "tea " * 30_000}, ["reason: INVALID_FIELD", "field input.text: "]),
        ({"timeout": "0.001"}, ["no answer came in time"]),
    ],
)
def test_what_is_wrong_is_told(program: Program, golden: Golden, changes: dict[str, str], told: list[str]) -> None:
    printed = program.run(golden.address, **{"model": "tiny", "text": "great tea", **changes})
    assert printed.code == 1
    assert printed.lines == []
    assert [words for words in told if words not in printed.told] == []
    assert ("the server's log knows it as" in printed.told) == ("timeout" not in changes)


def test_each_bad_column_is_named(program: Program, golden: Golden) -> None:
    row = golden.call("row").row
    assert row is not None
    call = replace(golden.call("row"), row={name: row[name] for name in row if name != "age"} | {"debts": "7"})
    printed = program.ask(golden.address, call)
    assert "field input.tabular.cells[age]: is left out" in printed.told
    assert "field input.tabular.cells[debts]: is not a column of this model" in printed.told
    no_number = replace(call, row={**row, "age": "old"})
    printed = program.ask(golden.address, no_number)
    assert printed.code == 1
    assert "the column age has numbers" in printed.told


def test_command_line_that_makes_no_sense_is_refused_before_anything(program: Program) -> None:
    printed = program.run("127.0.0.1:1", model="tiny")
    assert printed.code == 2
    assert "either --text or --row" in printed.told
    assert program.run("127.0.0.1:1", model="tiny", text="tea", seed="4294967296").code == 2


def test_nobody_there_and_a_token_in_plain_text_are_told(program: Program) -> None:
    printed = program.run("127.0.0.1:1", model="tiny", text="tea")
    assert printed.code == 1
    assert _NO_SERVER in printed.told
    printed = program.run("192.0.2.1:8500", model="tiny", text="tea", token=new_token(), timeout="5")
    assert printed.code == 1
    assert "token" in printed.told or "credentials require transport level security" in printed.told
    assert _NO_SERVER not in printed.told


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Golden, Authority, str]]:
    """A server with TLS that wants a token, its authority, and a token."""
    folder = tmp_path_factory.mktemp("guarded")
    authority, secret = Authority(folder), new_token()
    server, tokens = authority.issue("server"), folder / "tokens"
    tokens.write_text(f"{line_of(Token('reader', frozenset(Right), digest_of(secret)))}\n")
    tokens.chmod(0o600)
    flags = ["--tls-cert", str(server.cert), "--tls-key", str(server.key), "--tokens", str(tokens)]
    connection = {"tls": Tls(ca=authority.cert), "token": secret}
    with golden_calls(folder, *flags, connection=connection) as calls:
        yield calls, authority, secret


def test_tls_and_token(program: Program, guarded: tuple[Golden, Authority, str], tmp_path: Path) -> None:
    golden, authority, secret = guarded
    call, trusted = golden.call("text"), str(authority.cert)
    assert program.ask(golden.address, call, token=secret, ca=trusted).lines == call.expected["lines"]
    assert "reason: TOKEN_MISSING" in program.ask(golden.address, call, ca=trusted).told
    assert "reason: TOKEN_INVALID" in program.ask(golden.address, call, ca=trusted, token=new_token()).told
    stranger = str(Authority(tmp_path, "stranger").cert)
    assert _NO_SERVER in program.ask(golden.address, call, token=secret, ca=stranger).told
    assert _NO_SERVER in program.ask(golden.address, call, "--tls", token=secret).told
    assert _NO_SERVER in program.ask(golden.address, call, token=secret).told
    printed = program.ask(golden.address, call, token=secret, ca=str(tmp_path / "none.pem"))
    assert printed.code == 1
    assert "none.pem" in printed.told


class _FullAtFirst(services.ModelServiceServicer):
    """Refuses a call as a full server does, and hands the next ones on."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._models = services.ModelServiceStub(channel)
        self.calls = 0

    def GetModel(self, request: Any, context: Any) -> Any:
        self.calls += 1
        if self.calls > 1:
            return self._models.GetModel(request, timeout=30)
        status = to_status(Overloaded("QUEUE_FULL", "9 of 9", retry_after_s=0.05), "request-1")
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        return context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, status.message)


def test_asks_again_when_a_full_server_says_so(program: Program, golden: Golden) -> None:
    """What comes after GetModel this server does not know: then the program ends, and says that."""
    server = grpc.server(ThreadPoolExecutor(2))
    with grpc.insecure_channel(golden.address) as channel:
        full = _FullAtFirst(channel)
        services.add_ModelServiceServicer_to_server(full, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        printed = program.run(f"127.0.0.1:{port}", model="tiny", text="tea")
        server.stop(None).wait()
    assert full.calls == 2
    assert "tiny version 1" in printed.told
    assert "gRPC or a proxy says so, not an Explicate server" in printed.told
