"""The bundles that real exports of tiny networks for tables publish: complete, true, and the same however asked."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import json_format
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_export.export import ExportOptions, export_run
from explicate_export.table import golden_rows as table_golden_rows
from explicate_training.table.saved_network import load_network
from support.exported import CATEGORIES, NUMBERS, WIDE, Bundles, Exported, ReuseGraph
from support.tiny_table_run import BACKGROUND_ROWS, COLUMNS, LABELS, TARGET, Column

KINDS: dict[str, tuple[Sequence[Column], tuple[str, ...]]] = {
    "mixed": (COLUMNS, LABELS),
    "numbers": (NUMBERS, LABELS),
    "categories": (CATEGORIES, ("low", "middle", "high")),
    "regression": (COLUMNS, ()),
    "wide": (WIDE, LABELS),
}


@pytest.fixture(params=list(KINDS))
def bundle(bundles: Bundles, request: pytest.FixtureRequest) -> Exported:
    return bundles[request.param]


def test_columns_labels_and_background_are_those_of_the_run(bundle: Exported) -> None:
    manifest, regression = bundle.manifest, not KINDS[bundle.manifest.model][1]
    assert manifest.tabular.lime_statistics
    assert manifest.input_kind == bundle_pb2.INPUT_KIND_TABULAR
    objective = "REGRESSION" if regression else "CLASSIFICATION"
    assert manifest.objective == bundle_pb2.Objective.Value(f"OBJECTIVE_{objective}")
    assert tuple(manifest.class_labels) == KINDS[manifest.model][1]
    assert manifest.target_name == (TARGET if regression else "")
    assert [column.name for column in manifest.tabular.columns] == [c["name"] for c in KINDS[manifest.model][0]]
    assert manifest.tabular.background_rows == BACKGROUND_ROWS
    assert manifest.provenance.base_model == "tabular-network"
    for name in ("background.npz", "lime.npz"):
        assert (bundle.folder / name).read_bytes() == (bundle.run / name).read_bytes()


def test_golden_rows_have_torchs_answers_and_the_graph_meets_them(bundle: Exported) -> None:
    numbers, codes, outputs = (bundle.arrays[name] for name in ("numbers", "codes", "outputs"))
    assert (numbers.dtype, codes.dtype, outputs.dtype) == (np.float32, np.int64, np.float32)
    assert len(numbers) == len(codes) == len(outputs) == 40  # 32 held-out rows and 8 with holes
    with torch.no_grad():
        answers = load_network(bundle.run / "model")(torch.from_numpy(numbers), torch.from_numpy(codes)).numpy()
    np.testing.assert_array_equal(outputs, answers)
    # Different answers, or meeting them would say nothing.
    unit = 1 if bundle.manifest.class_labels else 25
    assert outputs.std(axis=0).min() > 0.1 * unit
    difference = np.abs(bundle.ask(numbers=numbers, codes=codes) - outputs).max()
    assert difference <= 1e-4 * unit < bundle.manifest.golden_tolerance


def test_golden_rows_include_missing_values_and_unknown_categories_in_every_column(bundle: Exported) -> None:
    numbers, codes = bundle.arrays["numbers"], bundle.arrays["codes"]
    assert np.isnan(numbers).any(axis=0).all()
    assert (codes == 0).any(axis=0).all()
    assert (codes == 1).any(axis=0).all()
    everything_missing = np.isnan(numbers).all(axis=1) & (codes == 1).all(axis=1)
    assert everything_missing.any()


@pytest.mark.parametrize("name", ["mixed", "numbers", "categories", "regression"])
def test_golden_attributions_are_the_shapley_values_of_the_background_game(bundles: Bundles, name: str) -> None:
    bundle = bundles[name]
    # So few players that 8 evaluations for each are every coalition there is, or nearly so.
    close = 1e-5 if name != "regression" else 25e-5
    golden, offsets = bundle.arrays, bundle.arrays["attribution_offsets"]
    assert len(golden["attribution_rows"]) >= 3
    for index, start, end in zip(golden["attribution_rows"], offsets[:-1], offsets[1:], strict=True):
        exact = _exact_shapley(bundle, KINDS[name][0], int(index))
        np.testing.assert_allclose(golden["attribution_values"][start:end], exact, rtol=0, atol=close)
        assert np.abs(exact).max() > 1000 * close


def _exact_shapley(bundle: Exported, columns: Sequence[Column], index: int) -> NDArray[np.float64]:
    """By the formula, over all coalitions of columns and groups; absent columns take each background row's value."""
    names = list(dict.fromkeys(column["group"] or column["name"] for column in columns))
    background = dict(np.load(bundle.folder / "background.npz"))
    output = int(bundle.arrays["outputs"][index].argmax())

    def value(present: frozenset[str]) -> float:
        numbers, codes = background["numbers"].copy(), background["codes"].copy()
        for array, kept, row in (
            (numbers, [c for c in columns if c["type"] == "number"], bundle.arrays["numbers"][index]),
            (codes, [c for c in columns if c["type"] != "number"], bundle.arrays["codes"][index]),
        ):
            for place, column in enumerate(kept):
                if (column["group"] or column["name"]) in present:
                    array[:, place] = row[place]
        return float(background["weights"] @ bundle.ask(numbers=numbers, codes=codes)[:, output].astype(np.float64))

    values = {
        frozenset(some): value(frozenset(some))
        for size in range(len(names) + 1)
        for some in itertools.combinations(names, size)
    }
    count = len(names)
    return np.array(
        [
            sum(
                math.factorial(len(some))
                * math.factorial(count - len(some) - 1)
                / math.factorial(count)
                * (values[some | {name}] - without)
                for some, without in values.items()
                if name not in some
            )
            for name in names
        ]
    )


def test_attributions_of_a_wide_table_are_few_and_still_add_up(bundles: Bundles) -> None:
    bundle = bundles["wide"]
    golden, background = bundle.arrays, dict(np.load(bundle.folder / "background.npz"))
    (index,) = golden["attribution_rows"]
    assert bundle.manifest.golden_attributions.evaluations_per_player == 2
    output = golden["outputs"][index].argmax()
    baseline = background["weights"] @ bundle.ask(numbers=background["numbers"], codes=background["codes"])[:, output]
    total = golden["attribution_values"].sum()
    assert len(golden["attribution_values"]) == 500
    assert total == pytest.approx(golden["outputs"][index, output] - baseline, abs=1e-3)
    assert abs(total) > 0.1


def test_no_attributions_where_they_would_slow_every_load(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse_graph: ReuseGraph
) -> None:
    bundle = bundles["categories"]
    reuse_graph(bundle)
    monkeypatch.setattr(table_golden_rows, "MOST_MODEL_ROWS", 10)
    folder = export_run(bundle.run, tmp_path, ExportOptions("m"))
    manifest = json_format.Parse((folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
    assert not manifest.HasField("golden_attributions")
    assert set(np.load(folder / "golden.npz").files) == {"numbers", "codes", "outputs"}


def test_model_card_names_what_a_reader_needs(bundles: Bundles) -> None:
    card = (bundles["mixed"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in ("# mixed\n", "predicts `left`", "`no`, `yes`", "| AUROC | 0.75 |", "Intended use", "in a logit"):
        assert needed in card
    assert "| city | category | Ghent, Köln, São Paulo | place | yes |" in card
    assert "| age | number |  |  | no |" in card
    assert "takes the values of the 20 background rows" in card
    assert bundles["mixed"].manifest.provenance.data_sha256 in card
    assert "of the target's spread" in (bundles["regression"].folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_server_reads_the_bundle_as_it_was_meant(bundle: Exported) -> None:
    golden = bundle.golden
    np.testing.assert_array_equal(golden.outputs, bundle.arrays["outputs"])
    assert list(golden.attributions) == bundle.arrays["attribution_rows"].tolist()
    feeds = bundle.modality.collate([bundle.modality.encode(value).row for value in golden.inputs])
    for name, values in feeds.items():
        np.testing.assert_array_equal(values, bundle.arrays[name])
