"""Reading a run directory of any kind: what is whole is read, what is not is one sentence that names the file.

And the gate on training's encoder: what its own model answered for the held-out inputs must be met.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from explicate_bundle.bundle import verify_bundle
from explicate_bundle.model_inputs import TextInput
from explicate_export import conversion
from explicate_export.errors import ParityError, UsageError
from explicate_export.export import ExportOptions, export_run, open_run
from explicate_export.text.conversion import held_out_texts
from explicate_export.text.model import load, text_schema
from explicate_export.training_run import read_run
from support import tiny_bundle, tiny_image_run
from support.run_files import change, change_lines, read_lines, write_lines
from support.tiny_bundle import write_tiny_run
from support.tiny_image_run import write_image_run
from support.tiny_table_run import write_table_run

JSON = "run.json", "metrics.json", "data.json", "held_out.jsonl"
WEIGHTS = "model/config.json", "model/model.safetensors"


@dataclass(frozen=True)
class Kind:
    """A kind of run: how one is written, its files, held-out lines that are broken, and other outputs."""

    write: Callable[[Path], Path]
    inputs: str
    files: tuple[str, ...]
    broken_lines: tuple[str, ...]
    encode_otherwise: Callable[[Path], None]


def _other_code(run: Path) -> None:
    """One category of one row is another one."""
    first, *rest = read_lines(run)
    city = "Ghent" if first["row"]["city"] != "Ghent" else "Köln"
    write_lines(run, [{**first, "row": {**first["row"], "city": city}}, *rest])


KINDS: Mapping[str, Kind] = {
    "text": Kind(
        write_tiny_run,
        "texts",
        (*JSON, *WEIGHTS, "model/tokenizer.json"),
        ('{"label": "x"}', '{"text": 5}'),
        lambda run: tiny_bundle.write_outputs(run, max_tokens=8),
    ),
    "table": Kind(
        write_table_run,
        "rows",
        (*JSON, *WEIGHTS, "background.npz", "lime.npz"),
        ('{"label": "no"}', '{"row": [1]}', '{"row": {"age": 3}}'),
        _other_code,
    ),
    "image": Kind(
        lambda directory: write_image_run(directory, "resnet", width=30),
        "images",
        (*JSON, *WEIGHTS),
        ('{"label": "circle"}', '{"image": "nowhere.png"}', '{"image": "../../run.json"}'),
        lambda run: tiny_image_run.write_outputs(run, resampling=Image.Resampling.NEAREST),
    ),
}


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each kind. For reading only."""
    folder = tmp_path_factory.mktemp("runs")
    for name in KINDS:
        (folder / name).mkdir()
    return {name: kind.write(folder / name) for name, kind in KINDS.items()}


@pytest.fixture(params=list(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(whole_runs: dict[str, Path], name: str, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(whole_runs[name], tmp_path / "run"))


@pytest.fixture
def text_run(whole_runs: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_runs["text"], tmp_path / "run"))


def _open(run: Path) -> conversion.ModelExport:
    return open_run(run, lambda _: None)


def test_finished_run_is_read(run: Path, name: str) -> None:
    found = _open(run)
    assert found.described.labels == tuple(json.loads((run / "run.json").read_text("utf-8"))["labels"])
    assert found.described.record.seed == 7
    assert found.described.test_metrics == json.loads((run / "metrics.json").read_text("utf-8"))["test"]
    assert len(found.held_out) == len(read_lines(run)) >= 24
    assert [one.outputs for one in found.held_out] == [line["outputs"] for line in read_lines(run)]
    assert found.words.many == KINDS[name].inputs


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, kind in KINDS.items() for file in kind.files], indirect=["name"]
)
def test_missing_file_is_named(run: Path, file: str) -> None:
    (run / file).unlink()
    with pytest.raises(UsageError, match=Path(file).name):
        _open(run)


@pytest.mark.parametrize("file", ["run.json", *WEIGHTS])
@pytest.mark.parametrize("keep", [0, 50])
def test_truncated_file_is_one_sentence(run: Path, file: str, keep: int) -> None:
    path = run / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UsageError, match=r"run\.json is not the record of|model cannot be loaded") as told:
        _open(run)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "\ufeff", '{"a":' * 5000])
def test_broken_json_is_named(run: Path, content: str) -> None:
    (run / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.json"):
        read_run(run)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"objective": None}, "'objective' is '', not one of 'classification', 'multi-label', 'regression'"),
        ({"objective": "ranking"}, "'objective' is 'ranking', not one of"),
        ({"objective": 7}, "objective"),
        ({"sound": {}}, 'no field named "sound"'),
        ({"seed": None}, "'seed' is missing"),
        ({"seed": -1}, "seed"),
        ({"data_sha256": None}, "'data_sha256' is missing"),
        ({"base_model": ""}, "'base_model' is missing"),
        ({"target_name": None}, "'target_name' is missing"),
        ({"labels": None}, r"\(0 class_labels\)"),
        ({"labels": ["one"]}, r"\(1 class_labels\)"),
        ({"labels": ["same", "same"]}, r"\(class_labels repeat\)"),
        ({"labels": ["a", ""]}, "a label is empty"),
        ({"labels": "ab"}, "labels"),
        ({"labels": ["a", 1]}, "labels"),
        ({"text": None, "tabular": None, "image": None}, "'text', 'tabular' or 'image' is missing"),
        ({"max_tokens": 128, "pairs": False}, 'no field named "max_tokens"'),  # as written before there was a message
    ],
)
def test_wrong_value_is_named(run: Path, values: dict[str, Any], told: str) -> None:
    change(run / "run.json", **values)
    with pytest.raises(UsageError, match=rf"run\.json.*{told}.*train again"):
        read_run(run)


@pytest.mark.parametrize("labels", [["b", "a"], ["x", "y", "z", "w"]])
def test_labels_that_contradict_the_model_are_refused(run: Path, labels: list[str]) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    labels = record["labels"][::-1] if len(labels) == 2 else labels
    change(run / "run.json", labels=labels)
    change_lines(run, lambda line: {**line, "outputs": [0.0] * len(labels)})
    if len(labels) != 4 and "tabular" in record:
        return  # a network of ours does not know its labels
    with pytest.raises(UsageError, match="not consistent"):
        _open(run)


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is not a run directory"):
        _open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("/home/someone/models/minilm", "minilm"),
        ("./minilm", "minilm"),
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
    ],
)
def test_the_way_to_a_folder_on_the_trainers_machine_stays_there(run: Path, base: str, told: str) -> None:
    change(run / "run.json", base_model=base)
    assert read_run(run).base_model == told


@pytest.mark.parametrize(
    ("name", "line"),
    [(name, line) for name, kind in KINDS.items() for line in (*kind.broken_lines, "nonsense", "[1]")],
    indirect=["name"],
)
def test_broken_held_out_line_is_named_by_number(run: Path, line: str) -> None:
    path = run / "held_out.jsonl"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(f"{first}\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"held_out\.jsonl, line 2"):
        _open(run)


def test_run_without_held_out_inputs_is_refused(run: Path, name: str) -> None:
    (run / "held_out.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match=f"no {KINDS[name].inputs}, and the export must be compared on some"):
        _open(run)


@pytest.mark.parametrize("outputs", [None, [], [0.5], [0.5, "1"], [0.5, math.nan], 1.5])
def test_run_without_the_models_own_outputs_is_refused(run: Path, outputs: Any) -> None:
    change_lines(run, lambda line: {**{k: v for k, v in line.items() if k != "outputs"}, "outputs": outputs})
    with pytest.raises(UsageError, match=r'line 1: "outputs" are not the \d that the model gave.*: train again'):
        _open(run)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, whole_runs: dict[str, Path]) -> dict[str, Path]:
    """The graph of each run, exported once."""
    repository = tmp_path_factory.mktemp("graphs")
    return {name: export_run(run, repository, ExportOptions(name)) / "model.onnx" for name, run in whole_runs.items()}


def test_inputs_that_training_encoded_otherwise_are_not_published(
    run: Path, name: str, graphs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "write_graph", lambda _, path: shutil.copyfile(graphs[name], path))
    lines: list[str] = []
    folder = export_run(run, tmp_path / "repository", ExportOptions("m"), say=lines.append)
    assert any(line.startswith("from what training's own model answered: ") for line in lines)
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"held-out {KINDS[name].inputs} among them, encoded by training, the graph meets within " in card
    KINDS[name].encode_otherwise(run)
    with pytest.raises(ParityError, match=r"training wrote into held_out\.jsonl differ by .* encoded otherwise"):
        export_run(run, tmp_path / "repository", ExportOptions("m"))
    assert [path.name for path in (tmp_path / "repository" / "m").iterdir()] == ["1"]


# Texts.


def _texts(run: Path) -> list[str]:
    return [one.value.text for one in held_out_texts(read_run(run)) if isinstance(one.value, TextInput)]


def test_texts_with_line_separators_inside_stay_whole(text_run: Path) -> None:
    text = "one\u2028two\u0085three"
    line = json.dumps({"text": text, "outputs": [0, 1]}, ensure_ascii=False) + "\n"
    (text_run / "held_out.jsonl").write_text(line, encoding="utf-8")
    assert _texts(text_run) == [text]


def test_texts_without_utf8_form_are_left_out(text_run: Path) -> None:
    write_lines(text_run, [{"text": text, "outputs": [0, 1]} for text in ("\ud800", "fine", " ")])
    assert _texts(text_run) == ["fine"]


@pytest.mark.parametrize(
    ("max_tokens", "told"), [(7, "text.max_tokens is 7"), ([128], "max_tokens"), (True, "max_tokens")]
)
def test_number_of_tokens_that_cannot_be_is_named(text_run: Path, max_tokens: Any, told: str) -> None:
    change(text_run / "run.json", text={"max_tokens": max_tokens})
    with pytest.raises(UsageError, match=told):
        read_run(text_run)


def test_lists_of_forbidden_words_of_a_run_are_in_its_manifest(text_run: Path) -> None:
    lists = [["he", "she"], ["Anna", "Ben"]]
    change(text_run / "run.json", text={"max_tokens": 128, "forbidden": [{"words": words} for words in lists]})
    schema = text_schema(load(read_run(text_run)), ("a text",))
    assert [list(one.words) for one in schema.forbidden] == lists


@pytest.mark.parametrize("words", [[], ["he"], ["he", "HE "], ["he", ""]])
def test_a_list_of_a_single_forbidden_word_is_refused(text_run: Path, words: list[str]) -> None:
    change(text_run / "run.json", text={"max_tokens": 128, "forbidden": [{"words": words}]})
    with pytest.raises(UsageError, match=r"a list in text\.forbidden has a single word"):
        read_run(text_run)


def test_a_run_that_a_gpu_made_is_exported_and_verified_on_this_machine(tmp_path: Path) -> None:
    run = write_table_run(tmp_path / "run")
    change(run / "run.json", device="cuda NVIDIA H200", precision="bf16")
    told: list[str] = []
    bundle = export_run(run, tmp_path / "repository", ExportOptions("m", 1, compared_inputs=8), say=told.append)
    assert any("largest difference" in line for line in told)
    assert verify_bundle(bundle, model="m", version=1).manifest.precision == "fp32"
