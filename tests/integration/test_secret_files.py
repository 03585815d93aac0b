"""Files of tokens, certificates and keys that cannot be used end the start at once, with their name."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from explicate_server.app import Server, StartError
from explicate_server.settings import Settings
from support.certificates import Authority

FILES = ["tokens", "tls_cert", "tls_key", "tls_client_ca"]


def settings(tmp_path: Path, name: str, path: Path) -> Settings:
    authority = Authority(tmp_path)
    issued = authority.issue("server")
    whole = {"tls_cert": str(issued.cert), "tls_key": str(issued.key)} if name != "tokens" else {}
    return Settings(repository=tmp_path, listen="127.0.0.1:0", **{**whole, name: str(path)})  # type: ignore[arg-type]


async def refusal(made: Settings) -> str:
    """Why a server does not start."""

    async def start() -> None:
        server = Server(made)
        try:
            await server.start()
        finally:
            await server.stop()

    with pytest.raises(StartError) as caught:
        await start()
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
async def test_a_pipe_in_the_place_of_a_secret_is_named_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert f"{tmp_path / 'pipe'} is not a plain file" in await refusal(settings(tmp_path, name, tmp_path / "pipe"))
    (tmp_path / "folder").mkdir(0o700)
    assert f"{tmp_path / 'folder'} is not a plain file" in await refusal(settings(tmp_path, name, tmp_path / "folder"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
async def test_a_secret_that_the_disk_does_not_give_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    path = tmp_path / "secret"
    path.write_text("")
    path.chmod(0o600)
    made, opened = settings(tmp_path, name, path), io.open

    def fails(file: Any, *arguments: Any, **named: Any) -> Any:
        if str(file) == str(path):
            raise OSError(number, os.strerror(number), str(path))
        return opened(file, *arguments, **named)

    monkeypatch.setattr(io, "open", fails)
    told = await refusal(made)
    assert str(path) in told
    assert os.strerror(number) in told


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b"\xff\xfe\x00")])
@pytest.mark.parametrize("name", FILES)
async def test_a_secret_that_is_missing_or_no_text_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "secret")
    assert str(tmp_path / "secret") in await refusal(settings(tmp_path, name, tmp_path / "secret"))
