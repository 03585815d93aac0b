"""What every worked case does: train, hold to its standard, serve what met it, and explain one row through gRPC.

A case is a folder here with config.toml, standard.toml, names.toml and a `__main__.py` that says which row is told of
and what else is asked. Each step is a command that can be repeated by hand.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples import demo_steps
from examples.demo_steps import say
from explicate import Client, Prediction


@dataclass(frozen=True)
class Case:
    """A worked case, and what is shown of its model once it serves.

    name: of its folder and of its model. chosen: whether a held-out row is the one to tell of, by what became of it and
    what is predicted. told: the sentence before it. explained: options of `explicate explain` for it. more: what else
    is asked of the model, about that row.
    """

    name: str
    chosen: Callable[[Any, Prediction], bool]  # Any: a label, or a number
    told: str
    explained: tuple[str, ...]
    more: Callable[[Client, Mapping[str, Any]], None]

    @property
    def folder(self) -> Path:
        """What the case consists of."""
        return Path(__file__).parent / self.name

    @property
    def names(self) -> dict[str, str]:
        """What columns and classes are called in sentences."""
        return tomllib.loads((self.folder / "names.toml").read_text(encoding="utf-8"))


def run(case: Case, arguments: list[str] | None = None) -> int:
    """Run a case; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.{case.name}")
    parser.add_argument("--folder", type=Path, default=Path("runs") / case.name, help="for what is made (%(default)s)")
    folder = parser.parse_args(arguments).folder
    started_s = time.monotonic()
    trained, repository, standard = folder / "run", folder / "repository", str(case.folder / "standard.toml")
    demo_steps.once(trained / "run.json", "train", str(case.folder / "config.toml"), "--output", str(trained))
    exporting = ("export", str(trained), "--repository", str(repository), "--name", case.name)
    demo_steps.once(repository / case.name / "1", *exporting, "--standard", standard)
    with demo_steps.server(repository, "--require-standard", standard) as (address, _):
        _show(case, address, folder)
    seconds, page = time.monotonic() - started_s, _page(folder)
    say(
        f"The standard is met: {_verdict(repository / case.name / '1')}. All of it took {seconds:.0f} s.\n"
        f"report: {trained / 'report.html'}, the explanation as a page: {page}\n"
        "\nThe server is stopped. To go on by hand, in three terminals:\n"
        f"  .venv/bin/explicate serve --repository {repository} --require-standard {standard}\n"
        f"  .venv/bin/explicate explain --model {case.name} --jsonl {trained / 'held_out.jsonl'} --html {page}\n"
        "  .venv/bin/explicate console        and open http://127.0.0.1:8600 in a browser"
    )
    return 0


def _show(case: Case, address: str, folder: Path) -> None:
    with Client(address) as client:
        row = next(row["row"] for row in demo_steps.held_out(folder / "run") if _is_chosen(case, client, row))
        say(case.told)
        print("\n".join(f"  {case.names.get(column, column)}: {_cell(cell)}" for column, cell in row.items()))
        asked = ("--model", case.name, *case.explained, "--names", str(case.folder / "names.toml"))
        page = ("--html", str(_page(folder)), "--format", "text", "--row", json.dumps(row))
        demo_steps.explicate(
            "explain", "--server", address, *asked, *page, shown=shlex.join(["explain", *asked, "--row", "ROW"])
        )
        case.more(client, row)


def _is_chosen(case: Case, client: Client, row: Mapping[str, Any]) -> bool:
    (answer,) = client.predict(case.name, [row["row"]]).predictions
    return case.chosen(row["label"], answer)


def _cell(cell: object) -> str:
    return "missing" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)


def _page(folder: Path) -> Path:
    return folder / "explanation.html"


def _verdict(bundle: Path) -> str:
    """What is on record, such as "retail version 1: 5 of 5"."""
    standard = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["standard"]
    return f"{standard['name']} version {standard['version']}: {standard['met']} of {standard['judged']}"
