"""Models of scikit-learn as candidates: their bundles take a table's own rows and answer what scikit-learn answers."""

import json
from pathlib import Path

import numpy as np
import pytest

from explicate_bundle.model_inputs import TabularInput
from explicate_export.export import ExportOptions
from explicate_standards.evaluated_model import open_published
from explicate_standards.held_out_rows import read_rows
from explicate_standards.leaderboard.runs import read_run
from explicate_standards.outcomes.outcomes import labelled, outputs_of
from explicate_studies.auto.candidates import Shared, kept, probe
from explicate_studies.auto.fitted_tables import FittedTable, LinearTable, TreesTable
from support.auto_table import CONFIG, Clock, shared_of, write_config, write_stays


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.mktemp("fitted")
    found = shared_of(write_config(folder), folder, minutes=1, clock=Clock(of_a_look=1.0))
    probe(found)
    return found


@pytest.mark.parametrize("candidate", [LinearTable(), TreesTable()], ids=["linear", "trees"])
def test_a_bundle_answers_rows_of_the_table_as_the_fitted_model_does(
    shared: Shared, candidate: FittedTable, tmp_path: Path
) -> None:
    finished = candidate.train(shared, 3.0)
    assert kept(shared)[candidate.name] == finished
    assert shared.value(shared.answers(finished)) > 0.85
    run = Path(finished.run)
    bundle = candidate.export(shared, finished, tmp_path, ExportOptions("stays"), lambda _: None)
    model = open_published(bundle)
    rows = labelled(read_rows(run / "held_out.jsonl", model, count=1000))
    assert len(rows) == len(shared.run.splits.test)
    told = np.array([row.line["outputs"] for row in rows])
    answered = outputs_of(model, [row.value for row in rows])
    np.testing.assert_allclose(answered - answered[:, :1], told - told[:, :1], atol=1e-4)
    assert model.labels == ("no", "yes")
    manifest = model.bundle.manifest
    assert manifest.provenance.data_sha256 == shared.run.sha256
    assert manifest.metrics["auroc"] == pytest.approx(json.loads((run / "metrics.json").read_text())["test"]["auroc"])
    assert [column.name for column in manifest.tabular.columns] == ["price", "city", "breakfast", "day"]
    assert not model.modality.violations(
        TabularInput({"price": None, "city": "nowhere", "breakfast": True, "day": "2021-03-04"}), "row"
    )


def test_a_leaderboard_reads_its_run(shared: Shared) -> None:
    candidate = LinearTable()
    run = read_run(Path(candidate.train(shared, 3.0).run))
    assert len(run.outcomes) == len(shared.run.splits.test)
    assert run.size_bytes > 0


def test_more_time_goes_on_choosing_where_it_was(shared: Shared) -> None:
    before = TreesTable()
    before.train(shared, 2.0)
    tried = before.tried
    of_a_later_command = TreesTable()
    finished = of_a_later_command.train(shared, 2.0)
    assert of_a_later_command.tried > tried > 0
    assert set(finished.point) == {"learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "trees"}


def test_a_number_is_predicted_in_its_own_unit(tmp_path: Path) -> None:
    write_stays(tmp_path, label="likes")
    path = tmp_path / "likes.toml"
    path.write_text(CONFIG.replace('label_column = "stays"', 'label_column = "likes"'))
    shared = shared_of(path, tmp_path, minutes=1, clock=Clock(of_a_look=1.0))
    shared.metric = "mae"
    shared.baseline = {name: np.zeros((len(shared.run.targets[name]), 1)) for name in ("validation", "test")}
    probe(shared)
    candidate = LinearTable()
    finished = candidate.train(shared, 3.0)
    assert shared.value(shared.answers(finished)) < 0.6
    bundle = candidate.export(shared, finished, tmp_path / "repository", ExportOptions("likes"), lambda _: None)
    model = open_published(bundle)
    rows = labelled(read_rows(Path(finished.run) / "held_out.jsonl", model, count=1000))
    told = np.array([row.line["outputs"] for row in rows])
    np.testing.assert_allclose(outputs_of(model, [row.value for row in rows]), told, atol=1e-4)
