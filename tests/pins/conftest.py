"""What the pins share: the nine exported models, and a real server for each kind of input."""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from pins import record, tiny
from pins.command import Said, explicate, server


@dataclass(frozen=True)
class Exported:
    """A bundle that `explicate export` made, and what it printed."""

    folder: Path
    said: Said
    places: Mapping[Path, str]  # folders of this run, with what a record shows instead


@dataclass(frozen=True)
class Served:
    """A server with the three models of one kind of input."""

    address: str
    places: Mapping[Path, str]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Exports the model of that name, once."""
    home = tmp_path_factory.mktemp("pins")

    @cache
    def export(name: str) -> Exported:
        run = tiny.write_run(name, home / "runs" / name)
        repository = home / tiny.kind_of(name)
        said = explicate("export", str(run), "--repository", str(repository), "--name", name, "--compare", "12")
        assert said.code == 0, said.err
        return Exported(Path(said.out.strip()), said, {repository: "<repository>", home / "runs": "<runs>"})

    return export


@pytest.fixture(scope="session")
def served(
    exported: Callable[[str], Exported], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Served]]:
    """Serves the three models of a kind of input, once, until the session ends."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as running:

        @cache
        def serve(kind: str) -> Served:
            bundles = [exported(f"{kind}-{objective}") for objective in tiny.OBJECTIVES]
            repository = bundles[0].folder.parents[1]
            return Served(running.enter_context(server(repository, logs / kind)), bundles[0].places)

        yield serve


@pytest.fixture(scope="session")
def pictures() -> Iterator[tuple[Path, Path]]:
    """Two image files, in a folder whose name is short: a printed path is shortened if it is long."""
    with tempfile.TemporaryDirectory() as folder:
        yield tiny.write_pictures(Path(folder))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Leaves out the log, in which torch writes thousands of lines that would hide the difference."""
    report = yield
    report.sections = [section for section in report.sections if not section[0].startswith("Captured log")]
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """When the whole folder was recorded again in one process, what no test names any more is removed."""
    options = session.config.option
    whole = [Path(argument).resolve() for argument in session.config.args] == [Path(__file__).parent]
    selected = options.keyword or options.markexpr
    in_parts = getattr(options, "numprocesses", None) or hasattr(session.config, "workerinput")
    if os.environ.get("UPDATE_PINS") == "1" and whole and not selected and not in_parts and exitstatus == 0:
        record.remove_unnamed()
