"""The blocking client is the asyncio one without asyncio."""

from __future__ import annotations

import inspect

import pytest

import explicate
from tools import blocking_client


def test_the_committed_client_is_what_the_asyncio_one_gives():
    assert blocking_client.MADE.read_text() == blocking_client.blocking_client(), "run `make client`"


def test_an_asyncio_client_that_lacks_what_changes_is_refused(monkeypatch, tmp_path):
    changed = tmp_path / "async_client.py"
    changed.write_text(blocking_client.SOURCE.read_text().replace("class AsyncClient(", "class Other("))
    monkeypatch.setattr(blocking_client, "SOURCE", changed)
    with pytest.raises(ValueError, match="class AsyncClient"):
        blocking_client.blocking_client()


def test_both_have_the_same_methods_with_the_same_arguments_and_words():
    names = [name for name in vars(explicate.Client) if not name.startswith("_")]
    assert len(names) > 15
    for name in names:
        blocking, asynchronous = getattr(explicate.Client, name), getattr(explicate.AsyncClient, name)
        assert inspect.signature(blocking).parameters == inspect.signature(asynchronous).parameters
        assert blocking.__doc__.splitlines()[0] == asynchronous.__doc__.splitlines()[0]
