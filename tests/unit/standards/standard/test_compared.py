"""What a model is compared with: its fp32 graph, the simple model of its run, and what the record of it says."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import read_manifest, verify_bundle
from explicate_bundle.objective import CLASSIFICATION
from explicate_bundle.outcomes.baseline_answers import BaselineAnswers, write_baseline
from explicate_bundle.outcomes.decision_rule import Decision
from explicate_bundle.standard.gate import StandardGate
from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.standard.waivers import Waiver, today
from explicate_standards.evaluated_model import open_published
from explicate_standards.outcomes.outcomes import Floats, Outcomes
from explicate_standards.outcomes.questions import Question, ask
from explicate_standards.outcomes.rivals import open_rivals
from explicate_standards.standard import evidence
from explicate_standards.standard.check import Checked, check
from explicate_standards.standard.recorded import check_recorded
from explicate_standards.standard.requirement import Evidence
from explicate_standards.standard.requirements import AgainstRequirement, FlipsRequirement
from explicate_standards.standard.standard import read_standard
from support.judged_bundles import GOOD, WORSE, publish_version, record, rows_file, standard_file
from support.measured_models import LABELS, linear, publish_table
from support.with_variants import WithVariants

WANTED = (
    '{ id = "better", metric = "accuracy", against = "baseline", margin = 0.0 },'
    '{ id = "flips", metric = "negative_flips", against = "baseline", at_most = 0.2 },'
    '{ id = "calibrated", metric = "brier", against = "baseline", margin = 0.0 }'
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_table(tmp_path_factory.mktemp("repository"), linear(GOOD), len(GOOD), labels=LABELS, spread=True)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return rows_file(tmp_path / "held_out.jsonl")


def simple_answers(rows: Path, *, right: float) -> np.ndarray:
    """Logits of a simple model that is right in a share of the rows."""
    labels = [json.loads(line)["label"] for line in rows.read_text().splitlines()]
    targets = np.array([LABELS.index(label) for label in labels])
    answered = np.where(np.arange(len(targets)) < right * len(targets), targets, 1 - targets)
    return np.eye(2)[answered] * 2


def checked(standard: Path, bundle: Path, rows: Path, **more: object) -> Checked:
    return check(read_standard(standard), bundle, rows, say=lambda _line: None, **more)  # type: ignore[arg-type]


def verdicts(found: Checked) -> list[Verdict]:
    return [judgement.verdict for judgement in found.judgements]


def test_a_model_is_judged_beside_the_simple_one_of_its_run(bundle: Path, rows: Path, tmp_path: Path) -> None:
    write_baseline(rows, BaselineAnswers("boosted trees", simple_answers(rows, right=0.7)))
    found = checked(standard_file(tmp_path / "s.toml", WANTED), bundle, rows)
    assert verdicts(found) == [Verdict.MET] * 3
    better, flips, _ = found.judgements
    assert better.bounds.value == pytest.approx(0.9 - 0.7)
    assert better.what == "accuracy, by how much better than boosted trees"
    assert flips.note.endswith(" the other way")


def test_the_rule_that_decides_for_the_simple_model_is_kept(bundle: Path, rows: Path, tmp_path: Path) -> None:
    """It answers "yes" from .05 on: to every row of which its probability of "yes" is .12 or .88."""
    rule = Decision(several=False, thresholds=np.array([np.nan, 0.05]))
    write_baseline(rows, BaselineAnswers("boosted trees", simple_answers(rows, right=0.7), rule))
    found = checked(standard_file(tmp_path / "s.toml", WANTED), bundle, rows)
    yes = np.mean([json.loads(line)["label"] == "yes" for line in rows.read_text().splitlines()])
    assert found.judgements[0].bounds.value == pytest.approx(0.9 - yes)


def test_without_the_answers_of_the_simple_model_it_cannot_be_told(bundle: Path, rows: Path, tmp_path: Path) -> None:
    found = checked(standard_file(tmp_path / "s.toml", WANTED), bundle, rows)
    assert verdicts(found) == [Verdict.CANNOT_TELL] * 3
    assert "there is no baseline.json beside" in found.judgements[0].note


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"held_out_sha256": "0" * 64}, "is of other rows"),
        ({"outputs": [[1.0]]}, "2 numbers"),
        ({"name": 3}, "numbers"),
    ],
)
def test_answers_of_other_rows_are_refused(
    bundle: Path, rows: Path, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    write_baseline(rows, BaselineAnswers("trees", simple_answers(rows, right=0.7)))
    path = rows.with_name("baseline.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=told):
        checked(standard_file(tmp_path / "s.toml", WANTED), bundle, rows)


@pytest.mark.parametrize("name", ["basline", "../nowhere/3"])
def test_what_is_no_bundle_is_told_with_what_there_is(bundle: Path, rows: Path, tmp_path: Path, name: str) -> None:
    wanted = f'{{ id = "a", metric = "accuracy", against = "{name}", margin = 0.0 }}'
    with pytest.raises(UsageError, match="it is one of live, fp32, baseline, majority, or the path of a bundle"):
        checked(standard_file(tmp_path / "s.toml", wanted), bundle, rows)


def test_each_variant_of_a_bundle_is_held_to_its_fp32_graph(variants: WithVariants, tmp_path: Path) -> None:
    given = variants["text"]
    rows = given.repository.parent / "run-text" / "held_out.jsonl"
    wanted = (
        '{ id = "reference", metric = "accuracy", against = "fp32", ratio = 0.9 },'
        '{ id = "flips", metric = "negative_flips", against = "fp32", at_most = 0.5 }'
    )
    found = checked(standard_file(tmp_path / "s.toml", wanted, "minimum_rows = 5\n"), given.bundle.folder, rows)
    precisions = [variant.precision for variant in given.bundle.manifest.variants]
    assert precisions, "the export made variants"
    told = [judgement.what for judgement in found.judgements if judgement.requirement == "reference"]
    assert told == [
        f"accuracy in {precision}, by how much better than 0.9 times text version 1 in fp32" for precision in precisions
    ]
    assert len(found.judgements) == 2 * len(precisions)
    assert all(judgement.against_sha256 == found.model.content_sha256 for judgement in found.judgements)


@pytest.mark.parametrize("judged", ["fp32", "fp16"])
def test_each_precision_is_asked_for_the_rows_once(
    variants: WithVariants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: str
) -> None:
    given = variants["text"]
    rows = given.repository.parent / "run-text" / "held_out.jsonl"
    asked = list[str]()

    def counted(questions: Sequence[Question], *others: Any) -> list[Floats]:
        asked.extend(question.model.runtime.precision for question in questions)
        return ask(questions, *others)

    monkeypatch.setattr(evidence, "ask", counted)
    wanted = '{ id = "reference", metric = "accuracy", against = "fp32", ratio = 0.9 }'
    checked(
        standard_file(tmp_path / "s.toml", wanted, "minimum_rows = 5\n"), given.bundle.folder, rows, precision=judged
    )
    assert sorted(asked) == sorted({"fp32", *(variant.precision for variant in given.bundle.manifest.variants)})


def test_the_precision_that_is_judged_can_be_named(variants: WithVariants, tmp_path: Path) -> None:
    given = variants["text"]
    rows = given.repository.parent / "run-text" / "held_out.jsonl"
    standard = standard_file(tmp_path / "s.toml", '{ id = "size", metric = "size_mb", at_most = 100 }')
    sizes = {
        precision: checked(standard, given.bundle.folder, rows, precision=precision).judgements[0].bounds.value
        for precision in ("fp32", "fp16")
    }
    files = {file.name: file.size_bytes / 1e6 for file in given.bundle.manifest.files}
    assert sizes == {"fp32": files["model.onnx"], "fp16": files["model.fp16.onnx"]}
    with pytest.raises(UsageError, match="cannot be measured in bf16"):
        checked(standard, given.bundle.folder, rows, precision="bf16")


def right_in(right: np.ndarray, name: str, precision: str = "") -> Outcomes:
    logits = np.where(right[:, None], [1.0, -1.0], [-1.0, 1.0])
    targets = np.zeros(len(right), np.intp)
    return Outcomes(name, CLASSIFICATION, ("a", "b"), logits, targets, precision=precision)


def judged(variants: dict[str, Outcomes | str], others: dict[str, Outcomes]) -> Sequence[tuple[str, Verdict, str]]:
    given = Evidence(right_in(np.ones(400, np.bool_), "m"), others, {}, {}, {}, 0.95, 50, variants=variants)
    requirements = (
        AgainstRequirement("x", "accuracy", None, "fp32", 0.0, 0.99),
        FlipsRequirement("y", "fp32", 0.01),
    )
    return [(one.what, one.verdict, one.note) for each in requirements for one in each.judge(given)]


def test_a_broken_variant_is_not_met_and_one_that_does_not_run_here_cannot_be_told() -> None:
    right = np.ones(400, np.bool_)
    broken = right_in(np.arange(400) >= 40, "m", "int8")
    found = judged({"int8": broken, "bf16": "it does not run here"}, {"fp32": right_in(right, "m in fp32")})
    assert [verdict for _, verdict, _ in found] == [Verdict.CANNOT_TELL, Verdict.NOT_MET] * 2
    assert found[0][2] == "it does not run here"


def test_a_bundle_without_variants_is_its_own_fp32_graph() -> None:
    found = judged({}, {})
    assert [verdict for _, verdict, _ in found] == [Verdict.MET] * 2
    assert {note for _, _, note in found} == {"the bundle has its graph in fp32 alone"}


def test_two_models_that_are_right_in_the_same_rows_may_still_differ_in_others() -> None:
    """0 of 400 rows apart leave z² / (n + z²) possible, so a ratio of .999 is not proven."""
    same = right_in(np.ones(400, np.bool_), "m", "int8")
    given = Evidence(same, {"fp32": replace(same, precision="")}, {}, {}, {}, 0.95, 50, variants={"int8": same})
    for ratio, verdict in ((0.99, Verdict.MET), (0.999, Verdict.CANNOT_TELL)):
        (found,) = AgainstRequirement("x", "accuracy", None, "fp32", 0.0, ratio).judge(given)
        assert found.verdict is verdict


# What is on record


REQUIRED = (
    '{ id = "accuracy", metric = "accuracy", at_least = 0.8 },'
    '{ id = "slices", metric = "accuracy", slices = "all", at_least = 0.7 },'
    '{ id = "no-worse", metric = "accuracy", against = "live", margin = 0.05 }'
)
SLICES = '[slices]\nsite = "column:site"\n'


def test_the_record_is_judged_without_asking_the_model(rows: Path, tmp_path: Path) -> None:
    folder = publish_version(tmp_path / "repository", GOOD, 1)
    standard = standard_file(tmp_path / "s.toml", REQUIRED, slices=SLICES)
    record(folder, standard, rows)
    found = check_recorded(read_standard(standard), folder)
    fresh = checked(standard, folder, rows)
    told = [[f"{one.what} {one.bounds} {one.verdict}" for one in each.judgements] for each in (found, fresh)]
    assert told[0] == told[1]
    moved = standard_file(tmp_path / "moved.toml", REQUIRED.replace("0.8 ", "0.95 "), slices=SLICES)
    assert check_recorded(read_standard(moved), folder).verdict is Verdict.NOT_MET


def test_what_the_record_does_not_say_cannot_be_told(rows: Path, tmp_path: Path) -> None:
    folder = publish_version(tmp_path / "repository", GOOD, 1)
    record(folder, standard_file(tmp_path / "s.toml", REQUIRED, slices=SLICES), rows)
    more = standard_file(
        tmp_path / "more.toml",
        f'{REQUIRED}, {{ id = "auroc", metric = "auroc", at_least = 0.5 }}',
        "confidence = 0.99\n",
        slices=f'{SLICES}high = "c0 > 1"\n',
    )
    found = {(one.requirement, one.what): one for one in check_recorded(read_standard(more), folder).judgements}
    assert "confidence of 0.95" in found["accuracy", "accuracy"].note
    assert found["slices", "not on record of the slice high (c0 > 1)"].verdict is Verdict.CANNOT_TELL
    assert found["auroc", "not on record"].note.startswith("give the run with --run")


def test_a_record_beside_what_is_no_longer_live_is_stale(rows: Path, tmp_path: Path) -> None:
    folder = publish_version(tmp_path / "repository", GOOD, 2)
    standard = standard_file(tmp_path / "s.toml", REQUIRED, slices=SLICES)
    record(folder, standard, rows)
    other = publish_version(tmp_path / "other", WORSE, 1)
    found = check_recorded(read_standard(standard), folder, against=other)
    assert found.judgements[-1].verdict is Verdict.CANNOT_TELL
    assert "another model than version 1, which is live" in found.judgements[-1].note


@pytest.mark.parametrize("options", ['cannot_tell = "warn"\n', "waivers = true\n"])
@pytest.mark.parametrize("fault", ["missing", "stale", "confidence"])
def test_what_a_server_refuses_is_never_met_by_the_record(rows: Path, tmp_path: Path, options: str, fault: str) -> None:
    folder = publish_version(tmp_path / "repository", GOOD, 2)
    more = f'{REQUIRED}, {{ id = "auroc", metric = "auroc", at_least = 0.5 }}'
    told = more if fault != "missing" else REQUIRED
    waivers = tuple(Waiver(one, "Ann", "for now", today()) for one in ("accuracy", "slices", "no-worse", "auroc"))
    record(folder, standard_file(tmp_path / "s.toml", told, options, slices=SLICES), rows, waivers=waivers)
    wanted = options + ("confidence = 0.99\n" if fault == "confidence" else "")
    standard = standard_file(tmp_path / "wanted.toml", more, wanted, slices=SLICES)
    live = publish_version(tmp_path / "other", WORSE, 1) if fault == "stale" else None
    found = check_recorded(read_standard(standard), folder, against=live)
    assert found.verdict is Verdict.CANNOT_TELL
    manifest = None if live is None else read_manifest(live)
    bundle = verify_bundle(folder, model="table", version=2)
    assert any(one.waiver is None for one in StandardGate.read(standard).unmet(bundle, manifest))


def test_a_bundle_without_a_record_says_what_to_give(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing on record: give the run with --run"):
        check_recorded(read_standard(standard_file(tmp_path / "s.toml", REQUIRED, slices=SLICES)), bundle)


def test_a_time_of_another_machine_is_told(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = publish_version(tmp_path / "repository", GOOD, 1)
    standard = standard_file(tmp_path / "s.toml", '{ id = "fast", metric = "latency_ms", at_most = 10_000 }')
    record(folder, standard, rows)
    (here,) = check_recorded(read_standard(standard), folder).judgements
    assert (here.verdict, here.note) == (Verdict.MET, "")
    assert here.machine in here.what
    monkeypatch.setattr("explicate_standards.standard.recorded.this_machine", lambda: "another one, 64 cores")
    (there,) = check_recorded(read_standard(standard), folder).judgements
    assert there.note == f"measured on {here.machine}, not here"


def test_other_held_out_rows_than_the_bundle_names_are_refused(rows: Path, tmp_path: Path) -> None:
    named = bundle_pb2.Interpretability(rows_sha256="0" * 64)
    folder = publish_table(tmp_path / "r", linear(GOOD), len(GOOD), labels=LABELS, spread=True, interpretability=named)
    standard = standard_file(tmp_path / "s.toml", '{ id = "a", metric = "accuracy", at_least = 0.8 }')
    with pytest.raises(UsageError, match=r"has another held_out\.jsonl than the run of table version 1"):
        checked(standard, folder, rows, of_run=True)
    assert checked(standard, folder, rows).verdict is Verdict.MET


def test_nothing_is_opened_that_is_not_named(bundle: Path) -> None:
    model = open_published(bundle)
    found = open_rivals([], model, None, folder=bundle, live=Path("nowhere"))  # type: ignore[arg-type]
    assert (list(found.asked), list(found.variants), found.baseline) == ([], [], None)
