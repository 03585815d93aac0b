"""A real server with models of every kind of input, a console before it, and a browser."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from support.browser import THEMES, WIDTHS, Visit, Visitor, chromium, visit
from support.console import console_process
from support.harness import server_process
from support.hostile_models import publish_hostile_models


@pytest.fixture(scope="session")
def repository(
    tmp_path_factory: pytest.TempPathFactory, tiny_repository: Path, table_repository: Path, image_repository: Path
) -> Path:
    """Models tiny (text), loans and losses (tables), animals, ages and tags (images), and some with hostile names."""
    found = tmp_path_factory.mktemp("console") / "repository"
    for source in (tiny_repository, table_repository, image_repository):
        for model in source.iterdir():
            if not model.name.startswith((".", "run-")):
                shutil.copytree(model, found / model.name)
    publish_hostile_models(found)
    return found


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[str]:
    """The address of a server that serves them all. For asking only: a test that changes it starts its own."""
    with server_process(repository, "--threads", "1") as (_, address):
        yield address


@pytest.fixture(scope="session")
def console(server: str) -> Iterator[str]:
    """The URL of a console before it."""
    with console_process(server) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module: Playwright's loop must not run while tests with a loop of their own do."""
    with chromium() as started:
        yield started


@pytest.fixture
def visitor(browser: Browser) -> Visitor:
    """Opens a fresh visitor's page: `with visitor(url, theme="dark", width=390) as visited`."""

    def fresh(url: str, **looks: Any) -> AbstractContextManager[Visit]:
        return visit(browser, url, **looks)

    return fresh


@pytest.fixture
def visited(visitor: Visitor, console: str) -> Iterator[Visit]:
    """One visitor of the shared console, light and wide."""
    with visitor(console) as found:
        yield found


@pytest.fixture(
    params=[(theme, width) for theme in THEMES for width in WIDTHS], ids=lambda look: f"{look[0]}-{look[1]}"
)
def looks(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every look: light and dark, of a telephone and of a desk."""
    theme, width = request.param
    return {"theme": theme, "width": width}
