"""standard.toml: what it may say, and that every error names the line and what to do."""

from pathlib import Path

import pytest

from explicate.errors import UsageError
from explicate_standards.standard.requirements import (
    AgainstRequirement,
    FlipsRequirement,
    MetricRequirement,
    PriceRequirement,
    SuiteRequirement,
)
from explicate_standards.standard.standard import read_standard

WHOLE = """\
[standard]
name = "reviews-production"
version = "1"
suite = "cases.jsonl"
cannot_tell = "warn"
require = [
  { id = "accuracy", metric = "accuracy", at_least = 0.80 },
  { id = "bad", metric = "recall", class = "bad", at_least = 0.5 },
  { id = "no-worse", metric = "accuracy", against = "live", margin = 0.022 },
  { id = "reference", metric = "accuracy", against = "fp32/1", ratio = 0.99 },
  { id = "flips", metric = "negative_flips", against = "live", at_most = 0.06 },
  { id = "slices", metric = "accuracy", slices = "all", at_least = 0.70 },
  { id = "price", metric = "evaluations_per_player.p90", at_most = 12 },
  { id = "negation", suite = "negation", failures_at_most = 0.10 },
]
[slices]
short = "words < 12"
race = "column:race"
"""


def standard(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "standard.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_standard_is_read(tmp_path: Path) -> None:
    found = read_standard(standard(tmp_path, WHOLE))
    assert (found.name, found.version, found.confidence, found.minimum_rows) == ("reviews-production", "1", 0.95, 50)
    assert not found.refuses_unknown
    assert found.suite == tmp_path / "cases.jsonl"
    kinds = [type(requirement) for requirement in found.requirements]
    assert kinds == [
        MetricRequirement,
        MetricRequirement,
        AgainstRequirement,
        AgainstRequirement,
        FlipsRequirement,
        MetricRequirement,
        PriceRequirement,
        SuiteRequirement,
    ]
    slices = found.requirements[5]
    assert isinstance(slices, MetricRequirement)
    assert slices.slices == ("short", "race")


def test_requirements_may_be_tables_of_their_own(tmp_path: Path) -> None:
    text = '[standard]\nname = "a"\nversion = "1"\n[[standard.require]]\nid = "x"\nmetric = "auroc"\nat_least = 0.5\n'
    assert [one.id for one in read_standard(standard(tmp_path, text)).requirements] == ["x"]


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ('version = "1"', 'versoin = "1"', 3, "did you mean version?"),
        ("[slices]", "[slice]", 16, "did you mean slices?"),
        ('"warn"', '"maybe"', 5, "not one of refuse, warn"),
        ('metric = "accuracy", at_least = 0.80', 'metric = "acuracy", at_least = 0.80', 7, "did you mean accuracy?"),
        ("at_least = 0.80", "at_least = 0.80, at_most = 0.9", 7, "one of at_least and at_most"),
        ("at_least = 0.80", 'at_least = "0.80"', 7, "'0.80', not a number"),
        ("at_least = 0.80", "at_least = nan", 7, "not a number"),
        ("at_least = 0.80", "at_least = 80", 7, "at_least is 80, and accuracy lies between 0 and 1"),
        ("at_least = 0.80", "at_least = -0.1", 7, "lies between 0 and 1"),
        ("at_least = 0.80", f"at_least = 1{'0' * 400}", 7, "not a number"),
        (
            'metric = "accuracy", at_least = 0.80',
            'metric = "seeds.acuracy", at_most = 0.1',
            7,
            "did you mean accuracy?",
        ),
        ('metric = "accuracy", at_least = 0.80', 'metric = "size_mb", at_most = -1', 7, "size_mb is at least 0"),
        ('metric = "accuracy", at_least = 0.80', 'metric = "latency_ms", at_least = 1', 7, "did you mean at_most?"),
        ('metric = "accuracy", at_least', "metric = 3, at_least", 7, "metric is not a text in quotes"),
        ('id = "bad"', 'id = " "', 6, "requirement 2 of require has an id that is no name"),
        ('id = "bad"', r'id = "b\u202ed"', 6, "an id that is no name of at most 100 characters"),
        ('"warn"', '"warn"\nminimum_rows = 1.5', 6, "minimum_rows is 1.5, not a whole number"),
        ('"warn"', '"warn"\nconfidence = 95', 6, "not a number from 0.5 to 0.9999"),
        ("at_least = 0.80", "at_least = 0.80, margins = 1", 7, "margins does not go with it"),
        ('class = "bad", ', "", 8, "recall_macro"),
        ('id = "bad"', 'id = "accuracy"', 7, "two requirements have the id"),
        ("margin = 0.022", "margin = -0.1", 9, "not below 0"),
        ("margin = 0.022", "margin = 0.02, ratio = 0.9", 9, "one of margin and ratio"),
        ("ratio = 0.99", "ratio = 1.5", 10, "not a share"),
        ('"accuracy", against = "fp32/1"', '"brier", against = "fp32/1"', 10, "give a margin"),
        ('slices = "all"', 'slices = ["shrt"]', 12, "did you mean short?"),
        ("evaluations_per_player.p90", "evaluations_per_player.p91", 13, "there is no figure"),
        ('suite = "cases.jsonl"\n', "", 13, "it is of a suite"),
        ("failures_at_most = 0.10", "failures_at_most = 10", 14, "not a share"),
        ('"words < 12"', "12", 17, "not a rule in quotes"),
        ('short = "words', 'all = "words', 17, "cannot be the name of a slice"),
    ],
)
def test_an_error_names_its_line(tmp_path: Path, old: str, new: str, line: int, told: str) -> None:
    assert old in WHOLE
    with pytest.raises(UsageError) as raised:
        read_standard(standard(tmp_path, WHOLE.replace(old, new, 1)))
    assert f"standard.toml, line {line}: " in str(raised.value)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "[standard] is missing"),
        ("[standard\n", "is not TOML"),
        (f"[standard]\nrequire = {'[' * 2000}{']' * 2000}", "is nested too deeply"),
        ('[standard]\nname = "a"\nversion = "1"\nrequire = []\n', "at least one requirement"),
        ('[standard]\nname = "a"\nversion = "1"\nrequire = ["accuracy"]\n', "requirement 1 of require has no id"),
        ('[standard]\nname = "a"\nversion = "1"\n', "require is not a list"),
        ('[standard]\nversion = "1"\n', "name is missing"),
        (
            '[standard]\nname = "a"\nversion = "1"\nrequire = [{ metric = "accuracy" }]\n',
            "requirement 1 of require has no id",
        ),
    ],
)
def test_what_is_not_a_standard_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=r".*") as raised:
        read_standard(standard(tmp_path, text))
    assert told in str(raised.value)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_standard(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes("[standard]\nname = 'é'".encode("latin-1"))
    with pytest.raises(UsageError, match="not text in UTF-8"):
        read_standard(tmp_path / "latin.toml")
    (tmp_path / "long.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="at most 1,048,576"):
        read_standard(tmp_path / "long.toml")


def test_ids_of_any_script_a_mark_of_windows_and_a_metric_twice_are_fine(tmp_path: Path) -> None:
    text = (
        '\ufeff[standard]\r\nname = "größe"\r\nversion = "1"\r\nrequire = [\r\n'
        '  { id = "größe 猫", metric = "accuracy", at_least = 0.5 },\r\n'
        '  { id = "again", metric = "accuracy", at_least = 0.6 },\r\n]\r\n'
    )
    found = read_standard(standard(tmp_path, text))
    assert [one.id for one in found.requirements] == ["größe 猫", "again"]


def test_what_changes_and_what_it_costs_can_be_required(tmp_path: Path) -> None:
    lines = ",".join(
        f'{{ id = "{metric}", metric = "{metric}", at_most = 0.1 }}'
        for metric in (
            "forgetting",
            "forgetting.second_task",
            "seeds.f1_macro",
            "size_mb",
            "latency_ms",
            "latency_ms.p99",
        )
    )
    found = read_standard(standard(tmp_path, f'[standard]\nname = "a"\nversion = "1"\nrequire = [{lines}]\n'))
    assert [type(one).__name__ for one in found.requirements] == [
        "ForgettingRequirement",
        "ForgettingRequirement",
        "SeedsRequirement",
        "SizeRequirement",
        "LatencyRequirement",
        "LatencyRequirement",
    ]
