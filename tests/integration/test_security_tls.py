"""TLS and mutual TLS with real handshakes: whom the clients trust, whom the server lets in, and new certificates."""

import asyncio
import logging
import shutil
import signal
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import explicate
from explicate.cli.main import main
from explicate_server.app import StartError
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from support.certificates import Authority
from support.harness import TEXT, running_server, server_process, until


def tls_settings(authority: Authority, *, client_ca: Path | None = None, expired: bool = False) -> dict[str, Any]:
    server = authority.issue("server", expired=expired)
    settings = {"tls_cert": str(server.cert), "tls_key": str(server.key)}
    return settings | ({"tls_client_ca": str(client_ca)} if client_ca else {})


async def answers(target: str, tls: explicate.Tls | bool) -> bool:
    """Whether a prediction comes back over a new connection; a refused handshake is UNAVAILABLE."""
    async with explicate.AsyncClient(target, tls=tls, timeout_s=20) as client:
        try:
            return len((await client.predict("tiny", [TEXT])).predictions) == 1
        except explicate.Unavailable:
            return False


async def lists(target: str, tls: explicate.Tls) -> bool:
    async with explicate.AsyncClient(target, tls=tls, timeout_s=5) as client:
        try:
            return bool(await client.list_models())
        except explicate.Unavailable:
            return False


def knock(target: str, over: threading.Event) -> int:
    """Begin handshakes until it is over, and leave them; returns how many the server took."""
    host, port = target.rsplit(":", 1)
    taken, held = 0, deque[socket.socket]()
    while not over.is_set():
        try:
            held.append(socket.create_connection((host, int(port)), timeout=1))
        except OSError:
            over.wait(0.01)
            continue
        taken += 1
        if len(held) > 16:
            held.popleft().close()
    for connection in held:
        connection.close()
    return taken


async def test_only_clients_that_trust_the_authority_are_answered(tiny_repository: Path, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with running_server(tiny_repository, **tls_settings(authority)) as running:
        assert await answers(running.target, explicate.Tls(ca=authority.cert))
        assert not await answers(running.target, explicate.Tls(ca=other.cert))
        assert not await answers(running.target, True)
        assert not await answers(running.target, False)


async def test_a_server_is_asked_at_one_name_and_certified_by_another(tiny_repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("server", hosts=["models.internal"])
    async with running_server(tiny_repository, tls_cert=issued.cert, tls_key=issued.key) as running:
        assert not await answers(running.target, explicate.Tls(ca=authority.cert))
        assert await answers(running.target, explicate.Tls(ca=authority.cert, server_name="models.internal"))
        assert not await answers(running.target, explicate.Tls(ca=authority.cert, server_name="others.internal"))


async def test_a_handshake_that_fails_says_what_to_do(tiny_repository: Path, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    issued = authority.issue("server", hosts=["models.internal"])

    async def refusal(target: str, tls: explicate.Tls | bool) -> str:
        async with explicate.AsyncClient(target, tls=tls, timeout_s=5) as client:
            with pytest.raises(explicate.Unavailable) as caught:
                await client.list_models()
            return str(caught.value)

    async with running_server(tiny_repository, tls_cert=issued.cert, tls_key=issued.key) as running:
        for name in (None, "others.internal"):
            message = await refusal(running.target, explicate.Tls(ca=authority.cert, server_name=name))
            assert message.startswith(f"the certificate of the server at {running.target} is for another name")
        for stranger in (explicate.Tls(ca=other.cert, server_name="models.internal"), True):
            assert "is not trusted" in await refusal(running.target, stranger)
    async with running_server(tiny_repository) as plain:
        assert "does not speak TLS" in await refusal(plain.target, explicate.Tls(ca=authority.cert))


async def test_a_command_asks_an_encrypted_server_by_its_context(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def explicate_command(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, words)
        return code, capsys.readouterr().out

    authority, secret, path = Authority(tmp_path), new_token(), tmp_path / "tokens"
    path.write_text(f"{line_of(Token('me', frozenset({Right.PREDICT}), digest_of(secret)))}\n")
    path.chmod(0o600)
    (tmp_path / "secret").write_text(f"{secret}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EXPLICATE_SERVER", raising=False)
    issued = authority.issue("server", hosts=["models.internal"])
    async with running_server(tiny_repository, tls_cert=issued.cert, tls_key=issued.key, tokens=str(path)) as running:
        access = ("--tls-ca", str(authority.cert), "--tls-server-name", "models.internal")
        token = ("--token-file", str(tmp_path / "secret"))
        made = await explicate_command("context", "set", "inner", "--server", running.target, *access, *token, "--use")
        assert made == (0, "")
        assert await explicate_command("health") == (0, "serving\n")
        assert (await explicate_command("predict", TEXT))[0] == 0
        async with explicate.AsyncClient.from_env() as client:
            assert len((await client.predict("tiny", [TEXT])).predictions) == 1
        elsewhere = await explicate_command("predict", TEXT, "--server", running.target, *access, "--model", "tiny")
        assert elsewhere == (1, ""), "a server that is named otherwise is not sent the context's token"
        assert (await explicate_command("health", running.target))[0] == 3


async def test_an_expired_certificate_is_not_trusted(tiny_repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with running_server(tiny_repository, **tls_settings(authority, expired=True)) as running:
        assert not await answers(running.target, explicate.Tls(ca=authority.cert))


async def test_with_a_client_ca_only_its_clients_are_let_in(tiny_repository: Path, tmp_path: Path) -> None:
    authority, clients, strangers = Authority(tmp_path), Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    known, stranger, late = clients.issue("known"), strangers.issue("stranger"), clients.issue("late", expired=True)
    async with running_server(tiny_repository, **tls_settings(authority, client_ca=clients.cert)) as running:
        assert await answers(running.target, explicate.Tls(authority.cert, known.cert, known.key))
        assert not await answers(running.target, explicate.Tls(authority.cert))
        for issued in (stranger, late):
            assert not await answers(running.target, explicate.Tls(authority.cert, issued.cert, issued.key))


async def test_new_certificates_are_used_without_a_restart_and_broken_ones_are_not(
    tiny_repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path, "old"), Authority(tmp_path / "new", "new")
    settings = tls_settings(old)
    cert, key = Path(settings["tls_cert"]), Path(settings["tls_key"])
    async with running_server(tiny_repository, **settings) as running:
        trusts_old, trusts_new = explicate.Tls(ca=old.cert), explicate.Tls(ca=new.cert)
        assert await answers(running.target, trusts_old)
        async with explicate.AsyncClient(running.target, tls=trusts_old) as connected:
            await connected.list_models()
            shutil.copy(__file__, cert)  # no certificate
            await until(lambda: "the TLS certificates changed and cannot be used" in caplog.text)
            assert await answers(running.target, trusts_old)
            caplog.clear()
            issued = new.issue("server")
            shutil.copy(issued.cert, cert)  # now the certificate does not fit the old key
            await until(lambda: "the TLS certificates changed and cannot be used" in caplog.text)
            assert await answers(running.target, trusts_old)
            shutil.copy(issued.key, key)
            await until(lambda: "the TLS certificates changed and are in use" in caplog.text)
            assert await answers(running.target, trusts_new)
            assert not await answers(running.target, trusts_old)
            await connected.list_models()  # a connection that was made before stays
    assert "the TLS certificates changed and are in use" in caplog.text
    assert "BEGIN" not in caplog.text


async def test_both_ports_have_the_new_certificates(tiny_repository: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path, "old"), Authority(tmp_path / "new", "new")
    settings = tls_settings(old)
    trusts_old, trusts_new = explicate.Tls(ca=old.cert), explicate.Tls(ca=new.cert)
    async with running_server(tiny_repository, admin_listen="127.0.0.1:0", **settings) as running:
        ports = [running.target, f"127.0.0.1:{running.server.ports.admin_port}"]
        assert [await lists(port, trusts_old) for port in ports] == [True, True]
        issued = new.issue("server")
        shutil.copy(issued.cert, settings["tls_cert"])
        shutil.copy(issued.key, settings["tls_key"])
        for port in ports:
            deadline = time.monotonic() + 20
            while not await lists(port, trusts_new):
                assert time.monotonic() < deadline
        assert [await lists(port, trusts_old) for port in ports] == [False, False]


def test_a_storm_of_handshakes_ends_nothing_and_does_not_hold_up_the_end(tiny_repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    flags = [f"--{name.replace('_', '-')}={path}" for name, path in tls_settings(authority).items()]
    over = threading.Event()
    with (
        server_process(tiny_repository, "--device", "cpu", "--drain", "1", *flags) as (server, target),
        ThreadPoolExecutor(8) as pool,
    ):
        storms = [pool.submit(knock, target, over) for _ in range(8)]
        try:
            with explicate.Client(target, tls=explicate.Tls(ca=authority.cert), timeout_s=30) as client:
                for _ in range(20):
                    assert client.predict("tiny", [TEXT]).predictions
            server.send_signal(signal.SIGTERM)  # while they go on
            _, said = server.communicate(timeout=60)
        finally:
            over.set()
        assert server.returncode == 0, said
        assert sum(storm.result() for storm in storms) > 100


async def test_a_server_does_not_start_with_certificates_it_cannot_use(tiny_repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    two.key.chmod(0o622)
    cases = [
        ({"tls_cert": str(one.cert), "tls_key": str(tmp_path / "none.key")}, "none.key|No such file"),
        ({"tls_cert": str(one.key), "tls_key": str(one.key)}, "no certificate and its key"),
        ({"tls_cert": str(two.cert), "tls_key": str(two.key)}, "can be changed by others"),
        ({"tls_cert": str(one.cert), "tls_key": str(one.key), "tls_client_ca": str(one.key)}, "holds no certificates"),
    ]
    for settings, words in cases:
        with pytest.raises(StartError, match=words):
            async with running_server(tiny_repository, **settings):
                pass


async def test_a_token_is_not_sent_where_others_can_read_it(tmp_path: Path) -> None:
    token = new_token()
    for target in ("models.internal:8500", "10.0.0.7:8500", "dns:///127.0.0.1.example.com:8500", "0.0.0.0:8500"):
        for make in (explicate.Client, explicate.AsyncClient):
            with pytest.raises(explicate.UsageError, match="unencrypted") as caught:
                make(target, token=token)
            assert token not in str(caught.value)
            for allowed in ({"tls": explicate.Tls(ca=Authority(tmp_path).cert)}, {"allow_plain_token": True}):
                client = make(target, token=token, **allowed)
                await client.close() if isinstance(client, explicate.AsyncClient) else client.close()
    for target in ("127.0.0.1:8500", "localhost:8500", "[::1]:8500", "unix:/run/x", "dns:///localhost:1"):
        await asyncio.to_thread(explicate.Client(target, token=token).close)


def test_a_client_names_the_file_it_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(explicate.UsageError, match=r"cannot read .*missing\.pem"):
        explicate.Client("localhost:1", tls=explicate.Tls(ca=tmp_path / "missing.pem"))
    with pytest.raises(explicate.UsageError, match="belong together"):
        explicate.Tls(cert="a.pem")
    for token in ("", "a b", "naïve", "a\nb"):
        with pytest.raises(explicate.UsageError, match="token"):
            explicate.Client("localhost:1", token=token)
