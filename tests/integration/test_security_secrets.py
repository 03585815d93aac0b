"""Nothing secret, and nothing that callers wrote, is in what a server says about itself."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

import explicate
from explicate_server.security.tokens import new_token
from support.certificates import Authority
from support.harness import server_process

TEXT = "marzipanfabrik is a word that stands nowhere else"


def create_token(tokens: Path, name: str, rights: str) -> str:
    command = [sys.executable, "-m", "explicate", "token", "create", name, "--rights", rights]
    done = subprocess.run([*command, "--tokens", str(tokens)], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def make_calls_good_and_bad(target: str, tls: explicate.Tls, secret: str, wrong: str) -> None:
    with explicate.Client(target, tls=tls, token=secret) as client:
        assert client.predict("tiny", [TEXT]).predictions
        with pytest.raises(explicate.PermissionDenied):
            client.explain("tiny", TEXT)
        with pytest.raises(explicate.InvalidArgument):
            client.predict("tiny", [TEXT, ""])
        with pytest.raises(explicate.NotFound):
            client.predict("nothing", [TEXT])
    for bad in (wrong, None, secret[:-1]):
        with explicate.Client(target, tls=tls, token=bad) as client, pytest.raises(explicate.Unauthenticated):
            client.predict("tiny", [TEXT])
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(Path(str(tls.ca)).read_bytes())) as channel:
        call: Any = channel.unary_unary("/explicate.v1.InferenceService/Predict")
        with pytest.raises(grpc.RpcError):  # a token in a form that is none
            call(b"\xff", metadata=(("authorization", secret),))
        with pytest.raises(grpc.RpcError):
            call(b"\xff", metadata=(("authorization", f"Bearer {secret}"),))


def test_tokens_hashes_keys_and_inputs_are_in_no_line_of_the_log(tiny_repository: Path, tmp_path: Path) -> None:
    authority, tokens = Authority(tmp_path), tmp_path / "tokens"
    server = authority.issue("server")
    secret, wrong = create_token(tokens, "shop", "predict"), new_token()
    other = create_token(tokens, "other", "predict,explain,admin")
    hashes = [line.split()[2].removeprefix("sha256:") for line in tokens.read_text().splitlines()]
    key_lines = [line for line in server.key.read_text().splitlines() if "-----" not in line]
    flags = ("--tls-cert", str(server.cert), "--tls-key", str(server.key), "--tokens", str(tokens))
    with server_process(tiny_repository, *flags, "--log-calls", "all") as (process, address):
        assert process.stderr is not None
        lines: list[str] = []

        def until_said(words: str) -> None:
            while not lines or words not in lines[-1]:
                lines.append(process.stderr.readline())

        make_calls_good_and_bad(address, explicate.Tls(ca=authority.cert), secret, wrong)
        tokens.write_text(f"{secret} {hashes[0]}\n")  # broken, with a token in it: the log must not quote it
        until_said("the tokens changed and cannot be used")
        make_calls_good_and_bad(address, explicate.Tls(ca=authority.cert), secret, wrong)
        server.key.write_text(server.key.read_text().replace("M", "N", 5))
        until_said("the TLS certificates changed and cannot be used")
        make_calls_good_and_bad(address, explicate.Tls(ca=authority.cert), secret, wrong)
        process.terminate()
        said = "".join([*lines, process.stderr.read()])
    assert "token:shop" in said  # calls are logged, by the token's name
    for hidden in (secret, wrong, other, secret[-20:], wrong[-20:], *hashes, *key_lines, "BEGIN", "marzipan"):
        assert hidden not in said


def test_a_token_made_by_the_command_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    secrets = [create_token(tokens, name, "predict,admin") for name in ("one", "two")]
    assert len(set(secrets)) == 2
    assert all(len(secret) >= 43 for secret in secrets)  # 256 bits in base64
    assert not any(secret in tokens.read_text() for secret in secrets)
    assert tokens.stat().st_mode & 0o777 == 0o600
    for arguments, words in (
        (["one", "--rights", "predict"], "already"),
        (["three", "--rights", "everything"], "predict, explain, admin"),
        (["a b", "--rights", "predict"], "is not a name"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "explicate", "token", "create", *arguments, "--tokens", str(tokens)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stdout == ""
    assert len(tokens.read_text().splitlines()) == 2


def test_the_commands_take_a_token_from_a_file_or_the_environment(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, tokens, token_file = Authority(tmp_path), tmp_path / "tokens", tmp_path / "shop.token"
    server, client = authority.issue("server"), authority.issue("client")
    secret = create_token(tokens, "shop", "predict")
    token_file.write_text(secret + "\n")
    flags = ["--tls-cert", str(server.cert), "--tls-key", str(server.key), "--tokens", str(tokens)]
    with server_process(tiny_repository, *flags, "--tls-client-ca", str(authority.cert)) as (_, address):

        def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
            tls = ["--tls-ca", str(authority.cert), "--tls-cert", str(client.cert), "--tls-key", str(client.key)]
            command = [sys.executable, "-m", "explicate", *arguments, "--server", address, *tls]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

        assert ask("predict", "good tea", "--token-file", str(token_file)).returncode == 0
        assert ask("models", "show", "tiny", "--token-file", str(token_file)).returncode == 0
        refused = ask("predict", "good tea")
        assert refused.returncode == 1
        assert "needs a token" in refused.stderr
        monkeypatch.setenv("EXPLICATE_TOKEN", secret)
        assert ask("predict", "good tea").returncode == 0
        denied = ask("explain", "good tea")
        assert denied.returncode == 1
        assert "needs the right explain" in denied.stderr
        missing = ask("predict", "good tea", "--token-file", str(tmp_path / "none"))
        assert missing.returncode == 2
        assert secret not in refused.stderr + denied.stderr + missing.stderr


def test_every_line_of_a_json_log_is_json_whatever_connects(tiny_repository: Path, tmp_path: Path) -> None:
    server = Authority(tmp_path).issue("server")
    flags = ("--tls-cert", str(server.cert), "--tls-key", str(server.key), "--log-format", "json")
    with server_process(tiny_repository, *flags) as (process, address):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while plain.recv(1024):
                pass
        process.terminate()
        said = process.communicate(timeout=30)[1].splitlines()
    assert json.loads(said[-1])["message"] == "stopped"
    assert {"time", "level", "message"} <= set.intersection(*(set(json.loads(line)) for line in said))
