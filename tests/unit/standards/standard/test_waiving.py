"""`explicate check --waive`: what is given, what it makes of the verdict, and what is refused before work starts."""

import argparse
import json
from datetime import timedelta
from pathlib import Path

import pytest

from explicate.errors import UsageError
from explicate_bundle.standard.waivers import Waiver, today
from explicate_standards import cli
from support.judged_bundles import WORSE, publish_version, record, rows_file, standard_file

REQUIREMENTS = """
{ id = "accuracy", metric = "accuracy", at_least = 0.8 },
{ id = "brier", metric = "brier", at_most = 0.5 },
"""
UNTIL = (today() + timedelta(days=30)).isoformat()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that judge a bundle which does not meet "accuracy"."""
    folder = tmp_path_factory.mktemp("waiving")
    rows, standard = rows_file(folder / "rows.jsonl"), standard_file(folder / "standard.toml", REQUIREMENTS)
    bundle = publish_version(folder / "repository", WORSE, 1)
    return ["check", str(bundle), "--standard", str(standard), "--rows", str(rows)]


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


def test_a_waived_requirement_makes_the_verdict_waived(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*given) == 1
    assert "NOT MET: " in capsys.readouterr().out
    waived = [*given, "--waive", "accuracy", "--waive", "brier", "--why", "mended soon", "--until", UNTIL]
    assert command(*waived, "--by", "anna") == 0
    out = capsys.readouterr().out
    assert "WAIVED: the model meets s 2 but for what is waived (1 met, 1 waived;" in out
    assert f"not met, waived until {UNTIL} by anna: mended soon" in out
    assert command(*waived, "--by", "anna", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "waived"
    assert [one["verdict"] for one in document["requirements"]] == ["waived", "met"]
    assert document["waivers"][0] == {"requirement": "accuracy", "who": "anna", "why": "mended soon", "until": UNTIL}


def test_who_waives_is_the_user_unless_named(
    given: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "berta")
    assert command(*given, "--waive", "accuracy", "--why", "w", "--until", UNTIL, "--json") == 0
    assert json.loads(capsys.readouterr().out)["waivers"][0]["who"] == "berta"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--waive", "accuracy", "--until", UNTIL], "needs a reason: --why"),
        (["--waive", "accuracy", "--why", "  ", "--until", UNTIL], "needs a reason: --why"),
        (["--waive", "accuracy", "--why", "w"], "needs its last day: --until"),
        (["--waive", "accuracy", "--why", "w", "--until", "soon"], "--until is 'soon', not a day"),
        (["--waive", "accuracy", "--why", "w", "--until", "2020-01-31"], "has passed"),
        (["--waive", "accurcy", "--why", "w", "--until", UNTIL], r"no such requirement \(did you mean accuracy\?\)"),
        (["--waive", "accuracy", "--why", "w", "--until", UNTIL, "--by", " "], "--by is empty"),
        (["--why", "w"], "--why goes with --waive"),
    ],
)
def test_a_waiver_that_is_not_whole_is_refused(given: list[str], more: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        command(*given, *more)


def test_waivers_on_record_count_where_the_standard_takes_them(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = publish_version(tmp_path / "repository", WORSE, 1)
    waiver = Waiver("accuracy", "anna", "mended soon", today() + timedelta(days=1))
    record(bundle, Path(given[3]), Path(given[5]), waivers=[waiver])
    assert command("check", str(bundle), "--standard", given[3]) == 1
    takes = standard_file(tmp_path / "takes.toml", REQUIREMENTS, "waivers = true\n")
    assert command("check", str(bundle), "--standard", str(takes)) == 0
    assert "WAIVED: " in capsys.readouterr().out


def test_a_waiver_without_a_standard_is_refused(given: list[str]) -> None:
    with pytest.raises(UsageError, match="--standard"):
        command("check", given[1], "--waive", "accuracy")
