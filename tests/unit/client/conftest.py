"""The canned server, and one way each to ask it with either client and from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

import explicate
from explicate.cli import main
from support.canned.canned_server import CannedServer, model_status, serve

STREAMS = ("stream_explain", "watch_models")


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with serve(CannedServer(models=[model_status("reviews")])) as state:
        yield state


@pytest.fixture(params=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest, server: CannedServer) -> Callable:
    """`ask("predict", "reviews", ["a"])` calls that method of the one client or the other; a stream gives a list."""

    def with_client(method, /, *args, **kwargs):
        with explicate.Client(server.target) as client:
            answer = getattr(client, method)(*args, **kwargs)
            return list(answer) if method in STREAMS else answer

    async def with_async_client(method, /, *args, **kwargs):
        async with explicate.AsyncClient(server.target) as client:
            if method in STREAMS:
                return [answer async for answer in getattr(client, method)(*args, **kwargs)]
            return await getattr(client, method)(*args, **kwargs)

    if request.param == "Client":
        return with_client
    return lambda *args, **kwargs: asyncio.run(with_async_client(*args, **kwargs))


@pytest.fixture(name="explicate")
def explicate_command(server, capsys, monkeypatch):
    """`explicate("predict", "soup")` gives (exit code, stdout, stderr) of that command against the canned server."""
    monkeypatch.setenv("EXPLICATE_SERVER", server.target)

    def run(*argv):
        code = main.main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def drawn_nowhere():
    """Lets shap and matplotlib draw without a screen, and closes what they drew."""
    import matplotlib as mpl

    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
