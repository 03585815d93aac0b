"""`explicate console` as a person starts it: what it says, and how it ends."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explicate.cli import main as command
from explicate.cli.main import build_parser
from explicate.errors import UsageError
from explicate_console import listening
from explicate_console.console_settings import ConsoleSettings
from explicate_console.listening import Place
from support.certificates import Authority
from support.console import ask, started_console

NOWHERE = "127.0.0.1:1"  # no server is there


def failed(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """Exit code and sentence of a console that does not start."""
    code = command.main(["console", "--server", NOWHERE, *flags])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return code, err.removeprefix("explicate: ").strip()


def test_a_port_that_is_taken_is_named_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        code, sentence = failed(capsys, "--listen", place)
    assert code == command.EXIT_USAGE
    assert sentence.startswith(f"cannot listen on {place}: Address already in use; is another console there?")


@pytest.mark.parametrize(
    "listen", ["", "8600", "localhost", "127.0.0.1:", "::1:8600", "127.0.0.1:99999", "a b:80", "http://127.0.0.1:8600"]
)
def test_what_is_not_a_place_is_refused(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, sentence = failed(capsys, "--listen", listen)
    assert code == command.EXIT_USAGE
    assert sentence == f"--listen {listen}: give HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.7:0", "console.example:0"])
def test_other_machines_are_let_in_only_where_that_is_said(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, sentence = failed(capsys, "--listen", listen, "--rows", "scored", "--audit", "audit.jsonl")
    assert code == command.EXIT_USAGE
    assert "other machines could open the page there, ask the server and see the --rows folders and read the audit" in (
        sentence
    )
    assert "--allow-others" in sentence


def test_which_places_are_of_this_machine_alone() -> None:
    assert all(Place(host, 1).is_local for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST."))
    assert not any(Place(host, 1).is_local for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example"))
    assert Place.of("[::1]:8600").url("http", 8600) == "http://[::1]:8600"
    assert Place.of("0.0.0.0:0").url("https", 41) == "https://127.0.0.1:41"


def test_a_key_that_is_not_the_certificates_is_refused_before_anything_listens(tmp_path: Path) -> None:
    one, other = Authority(tmp_path, "one").issue("page"), Authority(tmp_path, "other").issue("else")
    listening.check(ConsoleSettings(server=NOWHERE, cert=one.cert, key=one.key))
    with pytest.raises(UsageError, match=r"cannot use .*page.pem with .*else.key"):
        listening.check(ConsoleSettings(server=NOWHERE, cert=one.cert, key=other.key))
    with pytest.raises(UsageError, match=r"cannot use .*: No such file"):
        listening.check(ConsoleSettings(server=NOWHERE, cert=tmp_path / "none", key=one.key))
    with pytest.raises(UsageError, match="belong together"):
        listening.check(ConsoleSettings(server=NOWHERE, cert=one.cert))


def test_stdout_has_the_url_alone_and_stderr_that_the_server_is_not_there() -> None:
    with started_console(NOWHERE) as (process, url):
        assert ask(url, "/healthz", method="GET").body == b"ok\n"
        assert process.stderr is not None
        warning = process.stderr.readline()
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert warning.startswith(f"explicate: cannot reach a server at {NOWHERE} ")
    assert (out, err, process.returncode) == ("", "", 0)


@pytest.mark.parametrize("way", ["environment", "file"])
def test_a_token_of_the_console_is_not_sent_and_that_is_said(way: str, tmp_path: Path) -> None:
    secret = "s3cret-token"
    (tmp_path / "token").write_text(secret)
    flags = ("--token-file", str(tmp_path / "token")) if way == "file" else ()
    environ = {"EXPLICATE_TOKEN": secret} if way == "environment" else {}
    with started_console(NOWHERE, *flags, environ=environ) as (process, url):
        ask(url, f"/explicate.v1.ModelService/ListModels?token={secret}", authorization=f"Bearer {secret}")
        ask(url, f"/x?authorization={secret}", method="GET")
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert err.startswith("explicate: the console does not send your token for those who open it: ")
    assert secret not in out + err


def test_without_its_packages_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from explicate.cli.main import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program, "console"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "explicate: this command needs a package that is not installed (uvicorn): pip install 'explicate[console]'\n"
    )


def test_the_command_loads_nothing_of_its_own_until_it_runs() -> None:
    program = "import sys; from explicate.cli.main import build_parser; build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"uvicorn", "starlette", "explicate_console.serving"} & set(done.stdout.split())


def test_completion_knows_the_command_and_that_rows_are_folders() -> None:
    shtab = pytest.importorskip("shtab")
    from explicate.cli.completion import _mark

    parser = build_parser()
    _mark(parser, "bash")
    script = shtab.complete(parser, shell="bash")
    assert "console" in script
    assert "_shtab_explicate_console___rows_COMPGEN=_shtab_compgen_dirs" in script
    assert "_shtab_explicate_console___audit_COMPGEN=_shtab_compgen_files" in script


def test_a_timeout_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("0", "-1", "nan", "inf"):
        code, sentence = failed(capsys, "--timeout", wrong)
        assert code == command.EXIT_USAGE
        assert sentence.startswith("--timeout ")


def test_ctrl_c_ends_it_at_once_also_with_a_connection_that_says_nothing() -> None:
    with started_console(NOWHERE) as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as idle:
            ask(url, "/healthz", method="GET")
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            assert idle.recv(1) == b""
    assert process.returncode == 0
    assert time.monotonic() - begun < 5
