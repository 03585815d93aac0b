"""`explicate check`: a bundle judged from its folder to the exit code."""

import argparse
import json
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_standards import cli
from explicate_standards.evaluated_model import open_published
from explicate_standards.held_out_rows import read_rows
from explicate_standards.outcomes.outcomes import labelled
from explicate_standards.outcomes.slice_rules import SliceRule, masks
from explicate_standards.outcomes.suites import read_suites, run_suites
from support.measured_models import LABELS, linear, publish_table, publish_texts, table_line, write_rows

COLUMNS = 3
WORDS = {"good": 2.0, "fine": 1.0, "bad": -2.0, "not": -1.0, "soup": 0.0}


def command(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    parsed = parser.parse_args(["check", *map(str, arguments)])
    return int(parsed.run(parsed))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_table(tmp_path_factory.mktemp("repository"), linear([3, -2, 1]), COLUMNS, labels=LABELS, spread=True)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 rows of which the model has every tenth wrong; half of them are of either site."""
    values = np.random.Generator(np.random.Philox(1)).normal(size=(200, COLUMNS)).round(3)
    yes = values @ np.array([3, -2, 1]) > 0
    lines = [
        table_line(row.tolist(), label=LABELS[int(yes[number] != (number % 10 == 0))], site="AB"[number % 2])
        for number, row in enumerate(values)
    ]
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", lines)


def standard(tmp_path: Path, requirements: str, more: str = "") -> Path:
    path = tmp_path / "standard.toml"
    path.write_text(f'[standard]\nname = "s"\nversion = "2"\n{more}require = [\n{requirements}\n]\n', encoding="utf-8")
    return path


@pytest.mark.parametrize(("line", "code", "verdict"), [(0.85, 0, "met"), (0.9, 2, "cannot tell"), (0.95, 1, "not met")])
def test_the_exit_code_is_the_verdict(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: float, code: int, verdict: str
) -> None:
    file = standard(tmp_path, f'{{ id = "a", metric = "accuracy", at_least = {line} }}')
    assert command(bundle, "--standard", file, "--rows", rows, "--json", "--junit", tmp_path / "j.xml") == code
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == verdict
    (judged,) = document["requirements"]
    assert (judged["value"], judged["at_least"], judged["rows"]) == (0.9, line, 200)
    failures = ElementTree.parse(tmp_path / "j.xml").getroot().findall("testcase/failure")
    assert len(failures) == (code != 0)


def test_a_standard_may_only_warn_of_what_cannot_be_told(bundle: Path, rows: Path, tmp_path: Path) -> None:
    file = standard(tmp_path, '{ id = "a", metric = "accuracy", at_least = 0.9 }', 'cannot_tell = "warn"\n')
    assert command(bundle, "--standard", file, "--rows", rows, "--junit", tmp_path / "j.xml") == 0
    assert len(ElementTree.parse(tmp_path / "j.xml").getroot().findall("testcase/skipped")) == 1


def test_the_same_check_says_the_same_bytes(
    bundle: Path,
    rows: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = (
        '{ id = "a", metric = "auroc", at_least = 0.5 }, { id = "b", metric = "additive_r2.median", at_least = 0.1 }'
    )
    file = standard(tmp_path, lines, "minimum_rows = 20\n")
    told = []
    for _ in range(2):
        assert command(bundle, "--standard", file, "--rows", rows, "--json") == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


def test_a_worse_version_is_refused_beside_the_live_one(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = publish_table(tmp_path / "good", linear([3, -2, 1]), COLUMNS, labels=LABELS, spread=True)
    worse = publish_table(tmp_path / "worse", linear([0, -2, 0]), COLUMNS, labels=LABELS, spread=True)
    file = standard(
        tmp_path,
        '{ id = "no-worse", metric = "accuracy", against = "live", margin = 0.05 },'
        '{ id = "flips", metric = "negative_flips", against = "live", at_most = 0.06 },'
        '{ id = "majority", metric = "accuracy", against = "majority", margin = 0.0 }',
    )
    assert command(worse, "--standard", file, "--rows", rows, "--against", good) == 1
    told = capsys.readouterr().out
    assert told.count("NOT MET") == 3  # both, and the whole
    assert "McNemar's exact p" in told
    assert command(good, "--standard", file, "--rows", rows, "--against", good) == 0
    capsys.readouterr()
    assert command(worse, "--standard", file, "--rows", rows) == 2  # beside the majority it cannot be told
    told = capsys.readouterr().out
    assert told.count("nothing is live yet") == 2


def test_the_newest_other_version_is_what_serves_unless_a_label_says_otherwise(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_table(tmp_path, linear([0, -2, 0]), COLUMNS, labels=LABELS, spread=True)
    staged = publish_table(tmp_path / "aside", linear([3, -2, 1]), COLUMNS, labels=LABELS, spread=True)
    manifest = json.loads((staged / "manifest.json").read_text())
    (staged / "manifest.json").write_text(json.dumps({**manifest, "version": 2}))
    second = staged.rename(tmp_path / "table" / "2")
    file = standard(tmp_path, '{ id = "better", metric = "accuracy", against = "live", margin = 0.0 }')
    assert command(second, "--standard", file, "--rows", rows) == 0
    assert "better than table version 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give the folder of a bundle"),
        (("--plan", "1"), "at least 2 rows"),
        (("--plan", "100", "--plan-accuracy", "84"), "between 0 and 1"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        command(*arguments)


def test_a_plan_needs_no_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--plan", "1000") == 0
    assert "1,000 test rows" in capsys.readouterr().out


def test_slices_of_a_table_are_of_its_columns_and_the_other_fields_of_a_line(bundle: Path, rows: Path) -> None:
    model = open_published(bundle)
    tested = labelled(read_rows(rows, model, count=1000))
    rules = [
        SliceRule("high", "c0 > 1 and label == 'yes'"),
        SliceRule("site", "column:site"),
        SliceRule("none", "c0 > 1000"),
    ]
    found = masks(rules, tested, model)
    assert list(found) == ["high", "site: A", "site: B", "none"]
    assert found["site: A"].tolist() == [row.line["site"] == "A" for row in tested]
    wanted = [row.line["row"]["c0"] > 1 and row.line["label"] == "yes" for row in tested]
    assert found["high"].tolist() == wanted
    assert any(wanted)
    assert not found["none"].any()


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("c9 > 1", "there is no column c9"),
        ("column:race", "no row has a column 'race'"),
        ("column:c0", "make slices"),
        ("c0 >", r"\[slices\] x: the rule: "),
        ("any_word(a)", "is of texts"),
        ("c0 = 'a'", "cannot be compared"),
    ],
)
def test_a_wrong_rule_names_its_slice(bundle: Path, rows: Path, rule: str, told: str) -> None:
    model = open_published(bundle)
    with pytest.raises(UsageError, match=told):
        masks([SliceRule("x", rule)], labelled(read_rows(rows, model, count=1000)), model)


def test_slices_of_texts_are_by_length_and_words(tmp_path: Path) -> None:
    model = open_published(publish_texts(tmp_path, WORDS))
    texts = ["good soup", "not good", "Nothing bad", "I don't", "bad bad bad bad"]
    lines = [{"text": text, "label": "yes"} for text in texts]
    tested = labelled(read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=10))
    rules = [
        SliceRule("short", "words < 3"),
        SliceRule("negation", "any_word(not, n't)"),
        SliceRule("other", "not any_word(not)"),
    ]
    found = masks(rules, tested, model)
    assert found["short"].tolist() == [True, True, True, True, False]
    assert found["negation"].tolist() == [False, True, False, True, False]
    assert found["other"].tolist() == [True, False, True, True, True]


def test_suites_test_answers_likeness_and_direction(tmp_path: Path) -> None:
    model = open_published(publish_texts(tmp_path, WORDS))
    cases = [
        {"suite": "answers", "text": "good soup", "label": "yes"},
        {"suite": "answers", "text": "not bad", "label": "yes"},  # -3: it fails
        {"suite": "alike", "same": [{"text": "good"}, {"text": "fine"}]},
        {"suite": "alike", "same": [{"text": "good"}, {"text": "bad"}]},  # fails
        {"suite": "moves", "label": "yes", "falls": [{"text": "good"}, {"text": "fine"}, {"text": "bad"}]},
        {"suite": "moves", "label": "yes", "rises": [{"text": "good"}, {"text": "fine"}]},  # fails
        {"suite": "moves", "label": "yes", "rises": [{"text": "fine"}, {"text": "good"}], "by": 0.5},  # fails: by .15
    ]
    path = write_rows(tmp_path / "cases.jsonl", cases)
    found = run_suites(read_suites(path, model), model)
    assert {name: (result.cases, result.failed) for name, result in found.items()} == {
        "alike": (2, (4,)),
        "answers": (2, (2,)),
        "moves": (3, (6, 7)),
    }


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ({"text": "good", "label": "yes"}, 'no "suite"'),
        ({"suite": "a", "text": "good"}, "does not say what is right"),
        ({"suite": "a", "text": "good", "label": "great"}, "the model has 'no', 'yes'"),
        ({"suite": "a", "same": [{"text": "good"}]}, "two or more inputs"),
        ({"suite": "a", "same": [], "falls": []}, "a case has one of"),
        ({"suite": "a", "falls": [{"text": "good"}, {"text": "bad"}]}, "does not say what falls"),
        ({"suite": "a", "label": "yes", "falls": [{"text": "good"}, {"text": "bad"}], "by": -1}, "not a number from 0"),
        ({"suite": "a", "label": "yes", "row": {}}, 'no "text"'),
    ],
)
def test_a_wrong_case_names_its_line(tmp_path: Path, case: dict[str, object], told: str) -> None:
    model = open_published(publish_texts(tmp_path, WORDS))
    path = write_rows(tmp_path / "cases.jsonl", [{"suite": "a", "text": "good", "label": "yes"}, case])
    with pytest.raises(UsageError, match=told) as raised:
        read_suites(path, model)
    assert "cases.jsonl, line 2: " in str(raised.value)


TEMPLATES = """\
[lists]
thing = ["soup", "fine"]
word = ["good", "bad", "not"]

[[case]]
suite = "plain"
text = "{thing} {word}"
label = "yes"

[[case]]
suite = "alike"
same = "{word} {thing}"
vary = "word"

[[case]]
suite = "moves"
label = "yes"
falls = ["good {thing}", "bad {thing}"]
"""


def test_templates_make_a_case_of_each_combination_of_words(tmp_path: Path) -> None:
    model = open_published(publish_texts(tmp_path, WORDS))
    path = tmp_path / "cases.toml"
    path.write_text(TEMPLATES, encoding="utf-8")
    cases = read_suites(path, model)
    assert [(case.suite, case.place, len(case.inputs)) for case in cases] == [
        *[("plain", 1, 1)] * 6,
        *[("alike", 2, 3)] * 2,
        *[("moves", 3, 2)] * 2,
    ]
    found = run_suites(cases, model)
    # soup + bad, soup + not, fine + bad and fine + not (a tie) are not "yes"; good and bad are never alike.
    assert {name: (result.cases, len(result.failed)) for name, result in found.items()} == {
        "alike": (2, 2),
        "moves": (2, 0),
        "plain": (6, 4),
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('text = "{thing} {word}"', 'text = "{thin} {word}"', "case 1: there is no list 'thin'"),
        ('thing = ["soup", "fine"]', "thing = 3", r"\[lists\] thing is not a list"),
        ("[[case]]", "[case]", "cannot|not TOML"),
        ('label = "yes"', 'label = "great"', "case 1: its label is 'great'"),
        ('word = ["good", "bad", "not"]', f"word = {json.dumps(['x'] * 6000)}", "case 1: it makes 12,000 cases"),
    ],
)
def test_a_wrong_template_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    model = open_published(publish_texts(tmp_path, WORDS))
    path = tmp_path / "cases.toml"
    path.write_text(TEMPLATES.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        read_suites(path, model)


def test_the_starter_suite_has_cases_for_any_model_of_two_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--starter-suite", "sentiment", "--positive", "yes", "--negative", "no") == 0
    path = tmp_path / "starter.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    model = open_published(publish_texts(tmp_path, WORDS))
    found = run_suites(read_suites(path, model), model)
    assert list(found) == ["irrelevant", "length", "names", "negation", "plain", "punctuation", "typos"]
    assert all(result.cases >= 40 for result in found.values())
    with pytest.raises(UsageError, match="there are sentiment"):
        command("--starter-suite", "toxicity")


def test_a_label_of_any_form_stays_what_it_is_in_a_starter_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = 'so "great" \\\\ \t\u202e'
    command("--starter-suite", "sentiment", "--positive", label)
    (first, *_) = tomllib.loads(capsys.readouterr().out)["case"]
    assert first["label"] == label


def test_how_many_models_were_judged_on_the_same_rows_is_told(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = publish_table(tmp_path / "other", linear([3, -2, 0.9]), COLUMNS, labels=LABELS, spread=True)
    file = standard(tmp_path, '{ id = "a", metric = "accuracy", at_least = 0.8 }')
    told = []
    for one in (bundle, bundle, other):
        assert command(one, "--standard", file, "--rows", rows) == 0
        told.append(next(line for line in capsys.readouterr().out.splitlines() if "judged on these rows" in line))
    assert [line.split(" judged")[0] for line in told] == ["1 model was", "1 model was", "2 models were"]
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")  # cannot be written
    assert command(bundle, "--standard", file, "--rows", rows) == 0


@pytest.mark.parametrize(
    ("requirement", "more", "told"),
    [
        ('metric = "recall", class = "maybe", at_least = 0.5', "", "requirement 'a': the model has no class 'maybe'"),
        ('metric = "rmse", at_most = 0.5', "", "requirement 'a': rmse is not a metric of a classification"),
        ('metric = "robustness.foo", ratio = 0.5', "", "robustness: there is no robustness.foo of rows"),
        ('metric = "selection_ratio", class = "yes", over = "race", at_least = 0.8', "", "over: no row has a column"),
        ('metric = "accuracy", at_least = 0.5', 'suite = "none.jsonl"\n', "suite: there is no file"),
        ('metric = "accuracy", against = "basline", margin = 0.1', "", 'against = "basline": '),
    ],
)
def test_what_does_not_go_with_the_model_is_told_before_it_is_asked(
    bundle: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requirement: str, more: str, told: str
) -> None:
    file = standard(tmp_path, f'{{ id = "a", {requirement} }}', more)
    monkeypatch.setattr("explicate_standards.standard.evidence.ask", lambda *_: pytest.fail("the model was asked"))
    with pytest.raises(UsageError) as raised:
        command(bundle, "--standard", file, "--rows", rows)
    assert told in str(raised.value)


def test_hundreds_of_slices_are_judged_and_too_many_are_not_compared(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = "".join(f's{number} = "c0 > {number / 200 - 1.5}"\n' for number in range(600))
    file = standard(tmp_path, '{ id = "a", metric = "accuracy", slices = "all", at_least = 0.1 }')
    file.write_text(f"{file.read_text()}[slices]\n{slices}")
    command(bundle, "--standard", file, "--rows", rows, "--json")
    document = json.loads(capsys.readouterr().out)
    assert len(document["requirements"]) == 600
    assert {one["note"] for one in document["confusions"][1:]} == {"too many slices to be compared"}
