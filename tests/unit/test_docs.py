"""What the documents name is there."""

import re

from support.installed import ROOT, project
from tools.shape import read_tree


def test_every_test_that_a_document_names_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    documents = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    named = {name for path in documents for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in source} == set()


def test_every_extra_that_is_named_to_people_exists() -> None:
    declared = set(project()["optional-dependencies"])
    documents = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *read_tree(ROOT).values()]
    texts = [path.read_text(encoding="utf-8") for path in documents]
    named = {
        extra for text in texts for names in re.findall(r"explicate\[([a-z,]+)\]", text) for extra in names.split(",")
    }
    of_commands = {extra for text in texts for extra in re.findall(r"""\bextra=["'](\w+)["']""", text)}
    assert {"server", "cli", "batch"} <= named
    assert {"server", "export"} <= of_commands
    assert (named | of_commands) - declared == set()


def test_the_table_of_exit_codes_has_them_all() -> None:
    from explicate.cli import main

    rows = re.findall(r"(?m)^\| ([\d, ]+) \|", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"))
    told = {int(code) for row in rows for code in row.split(", ")}
    assert {value for name, value in vars(main).items() if name.startswith("EXIT_")} | {0} <= told
    assert main.EXIT_LATER == 4
