"""What `explicate` says without a server: its help, its example configs and its refusals, as they are today."""

import re

import pytest

from pins import record
from pins.command import explicate

_COMMANDS = {
    "": (
        "train",
        "labels",
        "diagnose",
        "tune",
        "auto",
        "curve",
        "bundle",
        "export",
        "mlflow",
        "hub",
        "evaluate",
        "check",
        "leaderboard",
        "serve",
        "token",
        "predict",
        "explain",
        "score",
        "summarize",
        "models",
        "health",
        "replay",
        "context",
        "completion",
        "console",
    ),
    "mlflow": ("push", "pull"),
    "models": ("list", "show", "load", "activate", "rollback", "unload", "remove-label", "traffic", "watch"),
    "token": ("create",),
    "context": ("list", "show", "use", "set", "delete"),
}
_EACH = [f"{group} {command}".strip() for group, commands in _COMMANDS.items() for command in commands]


@pytest.mark.parametrize("command", ["", *_EACH])
def test_help(command: str) -> None:
    record.check(f"help/{command.replace(' ', '-') or 'explicate'}.txt", explicate(*command.split(), "--help").text())


@pytest.mark.parametrize("group", _COMMANDS)
def test_every_command_that_the_help_lists_is_pinned(group: str) -> None:
    listed = explicate(*group.split(), "--help").out.partition("Options:" if not group else "\n\noptions:")
    part = listed[0] if not group else listed[2]
    found = re.findall(r"(?m)^ {2}([a-z-]+) +\S" if not group else r"(?m)^ {4}([a-z-]+)(?: {2,}\S|$)", part)
    assert tuple(found) == _COMMANDS[group]


@pytest.mark.parametrize("kind", ["text", "table", "image"])
def test_the_example_config(kind: str) -> None:
    record.check(f"examples/{kind}.toml", explicate("train", "--example", kind).out)


def test_wrong_use() -> None:
    lines = [
        "", "nonsense", "train", "train nowhere.toml", "train food-reviews --seed -1",
        "train credit --resume --restart", "models show soup --format csv",
        "export nowhere --repository gone", "export nowhere --repository gone --compare 0", "export",
        "serve --repository nowhere --threads many", "serve --repository nowhere --runtime none", "token create",
        "predict", "predict tea --row a=1", "predict --csv nowhere.csv --server 127.0.0.1:1", "explain tea --top -1",
        "explain tea --method lime --seed x", "models show", "models activate", "replay nowhere.jsonl",
    ]  # fmt: skip
    said = [f"$ explicate {line}\n{explicate(*line.split()).text()}" for line in lines]
    record.check("help/wrong_use.txt", record.cleaned("\n".join(said), {}))
