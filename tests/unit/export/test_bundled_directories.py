"""Directories as strangers have them: what is taken of them, and what is refused, in a sentence, before work starts."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from explicate.cli.main import main
from explicate_bundle.bundle import verify_bundle
from explicate_export.errors import ConversionError, ExplicateError, UsageError
from explicate_export.sources.sources import Brought, BundleRequest, source_of
from support.families import IMAGE_FAMILIES, LABELS, TEXT_FAMILIES, write_pictures, write_sentences
from support.tiny_text_model import WORDS

Edit = Callable[[Path], Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT directory and a ViT one. For copying only."""
    folder = tmp_path_factory.mktemp("kept")
    TEXT_FAMILIES["BERT"].write(folder / "bert")
    IMAGE_FAMILIES["ViT"].write(folder / "vit")
    return folder


@pytest.fixture
def bert(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept / "bert", tmp_path / "bert"))


def opened(model: Path, inputs: Path, **asked: Any) -> Brought:
    return source_of(model).opened(BundleRequest(model=model, inputs=inputs, **asked), lambda _: None)


def configured(**changes: Any) -> Edit:
    """Changes keys of config.json; None takes one out."""

    def edit(directory: Path) -> None:
        path = directory / "config.json"
        config = {**json.loads(path.read_text("utf-8")), **changes}
        path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}), "utf-8")

    return edit


def without(*names: str, **added: str) -> Edit:
    def edit(directory: Path) -> None:
        for name in names:
            (directory / name).unlink()
        for name, content in added.items():
            (directory / name.replace("__", ".")).write_text(content, encoding="utf-8")

    return edit


def nested(directory: Path) -> None:
    for name in ("checkpoint-500", "checkpoint-1000"):
        shutil.copytree(directory, directory / name, ignore=shutil.ignore_patterns("checkpoint-*"))
    (directory / "config.json").unlink()


WEIGHTS = "model.safetensors"
REFUSED: dict[str, tuple[Edit, str]] = {
    "a nested checkpoint": (nested, r"has no config\.json, and checkpoint-\d+ in it has: give .*checkpoint"),
    "nothing": (without("config.json"), r"is not a Hugging Face directory: it has no config\.json"),
    "a run of ours": (without("config.json", run__json="{}"), r"is a run of `explicate train`: explicate export"),
    "an adapter": (without("config.json", WEIGHTS, adapter_config__json="{}"), "holds an adapter .* merge it into its"),
    "an adapter with a config": (without(WEIGHTS, adapter_config__json="{}"), "holds an adapter"),
    "a broken config": (without(config__json="{"), r"config\.json cannot be read"),
    "a list for a config": (without(config__json="[]"), r"config\.json is not a JSON object"),
    "no class": (configured(architectures=None), "does not say which class its weights are of"),
    "an encoder-decoder": (
        configured(is_encoder_decoder=True, architectures=["BartForSequenceClassification"]),
        r"is an encoder-decoder \(BartForSequenceClassification\), which generates",
    ),
    "a head for tokens": (configured(architectures=["BertForTokenClassification"]), "which labels each token"),
    "a head that generates": (configured(architectures=["GPT2LMHeadModel"]), "which generates text"),
    "no head": (configured(architectures=["BertModel"]), "is a BertModel, without a head that classifies: fine-tune"),
    "code of its own": (
        configured(architectures=["OwnForSequenceClassification"], auto_map={"AutoModel": "own.Model"}),
        "needs code of its own .* which is never run",
    ),
    "quantised weights": (configured(quantization_config={"bits": 4}), "has quantised weights"),
    "no weights": (without(WEIGHTS), r"has no model\.safetensors or pytorch_model\.bin: save the model"),
    "weights of another kind": (without(WEIGHTS, weights__pkl=""), r"and weights\.pkl is not read"),
    "no tokenizer": (without("tokenizer.json"), "has no tokenizer"),
    "several numbers": (configured(problem_type="regression"), "predicts 3 numbers at once"),
    "a gap in the labels": (configured(id2label={"0": "a", "2": "b"}), "does not name the outputs from 0 on"),
    "a label twice": (configured(id2label={"0": "a", "1": "a", "2": "b"}), "has the label 'a' twice: give its labels"),
    "a nameless label": (configured(id2label={"0": " ", "1": "a", "2": "b"}), "has a label without a name"),
    "other labels than weights": (configured(id2label={"0": "a", "1": "b"}), "cannot be loaded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_bundled_is_refused_in_a_sentence(name: str, bert: Path, tmp_path: Path) -> None:
    edit, told = REFUSED[name]
    edit(bert)
    with pytest.raises((UsageError, ConversionError), match=told) as caught:
        opened(bert, write_sentences(tmp_path / "texts.csv"))
    assert "\n" not in str(caught.value)


INPUTS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "nothing": ("a.csv", "", {}, r"a\.csv does not have the column text|has no rows"),
    "a header alone": ("a.csv", "text\n", {}, r"a\.csv has no rows"),
    "empty texts": ("a.csv", 'text,label\n"",\n" ",\n', {}, "has 2 rows and none with a text in the column text"),
    "another column": ("a.csv", "Text\ngood tea\n", {}, r"does not have the column text \(did you mean Text\?\)"),
    "a column mapped wrong": ("a.csv", "text\ntea\n", {"columns": {"text": "body"}}, "does not have the column body"),
    "a number": ("a.jsonl", '{"text": 3}', {}, "line 1: the text is .*, not a text"),
    "a list": ("a.jsonl", "[1]", {}, "entry 1 is not a JSON object"),
    "not JSON": ("a.jsonl", '{"text": "tea"}\n{', {}, "line 2 is not JSON"),
    "an unknown label": ("a.csv", "text,label\ntea,nice\n", {}, "row 1: its label is 'nice', and the model has"),
    "not Parquet": ("a.parquet", "text", {}, "is not a Parquet file"),
    "too many tokens": ("a.csv", "text\ntea\n", {"max_tokens": 500}, "--max-tokens is 500, and .* reads 66 tokens"),
    "too few labels": ("a.csv", "text\ntea\n", {"labels": ("a", "b")}, "--labels names 2 labels, and .* has 3 outputs"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_that_cannot_be_used_are_refused_by_their_place(name: str, kept: Path, tmp_path: Path) -> None:
    file, content, asked, told = INPUTS[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        opened(kept / "bert", tmp_path / file, **asked)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("ran",))


def test_weights_that_are_pickled_objects_are_never_unpickled(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (bert / WEIGHTS).unlink()
    torch.save({"classifier.weight": _Evil()}, bert / "pytorch_model.bin", pickle_protocol=pickle.DEFAULT_PROTOCOL)
    with pytest.raises(UsageError, match="cannot be loaded"):
        opened(bert, write_sentences(tmp_path / "texts.csv"))
    assert not (tmp_path / "ran").exists()


def test_a_directory_of_old_becomes_a_bundle_by_the_command(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """pytorch_model.bin, vocab.txt with lower-casing and added tokens, labels of every script, rows without a text."""
    tokens = json.loads((bert / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    (bert / "tokenizer.json").unlink()
    (bert / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(tokens, key=tokens.get)), "utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
    (bert / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    torch.save(load_file(bert / WEIGHTS), bert / "pytorch_model.bin")
    (bert / WEIGHTS).unlink()
    rows = [{"body": f"GOOD {WORDS[index]} Tea", "right": LABELS[index % 3]} for index in range(12)]
    inputs = tmp_path / "rows.jsonl"
    lines = [*rows, {"body": None, "right": LABELS[0]}, {"right": 1}]
    inputs.write_text("".join(f"{json.dumps(row)}\n" for row in lines), "utf-8")
    repository = tmp_path / "repository"
    arguments = ["bundle", str(bert), "--inputs", str(inputs), "--repository", str(repository), "--name", "old"]
    assert main([*arguments, "--column", "text=body", "--column", "label=right"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(repository / "old" / "1")
    assert "2 of 14 rows have no text and are left out" in told.err
    manifest = verify_bundle(repository / "old" / "1", model="old", version=1).manifest
    assert tuple(manifest.class_labels) == LABELS
    assert manifest.text.max_tokens == 64
    assert manifest.provenance.max_logit_difference <= 1e-4
    assert 0 <= manifest.metrics["accuracy"] <= 1
    card = (repository / "old" / "1" / "MODEL_CARD.md").read_text("utf-8")
    assert "not trained by Explicate" in card
    assert not any(word in card for word in ("train again", "held-out test split", "explicate train", "torch differ"))
    page = (repository / "old" / "1" / "report.html").read_text("utf-8")
    assert all(f'<td dir="auto">{label}</td>' in page for label in LABELS)
    assert "Accuracy" in page or "accuracy" in page


def test_weights_in_parts_and_pairs_of_several_labels_are_taken(bert: Path, tmp_path: Path) -> None:
    weights = load_file(bert / WEIGHTS)
    (bert / WEIGHTS).unlink()
    from safetensors.torch import save_file

    halves = {f"model-0000{part + 1}-of-00002.safetensors": sorted(weights)[part::2] for part in range(2)}
    for file, names in halves.items():
        save_file({name: weights[name] for name in names}, bert / file, metadata={"format": "pt"})
    places = {name: file for file, names in halves.items() for name in names}
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (bert / f"{WEIGHTS}.index.json").write_text(json.dumps(index), "utf-8")
    configured(problem_type="multi_label_classification")(bert)
    inputs = tmp_path / "pairs.csv"
    inputs.write_text(f'premise;claim;label\ngood tea;bad tea;"{LABELS[0]},1"\nold box;new box;\n', "utf-8")
    brought = opened(bert, inputs, columns={"text": "premise", "text_pair": "claim"})
    described = brought.model.described
    assert (described.record.objective, described.record.text.pairs) == ("multi-label", True)
    assert list(brought.labels) == [[LABELS[0], LABELS[1]], None]
    assert described.data_report["of_these_with_a_label"] == 1
    assert described.test_metrics["accuracy"] in (0, 1)


def test_one_output_is_a_number_and_differences_are_told_in_the_spread_of_its_answers(
    tmp_path: Path,
) -> None:
    directory = TEXT_FAMILIES["BERT"].write(tmp_path / "stars", labels=("LABEL_0",))
    brought = opened(directory, write_sentences(tmp_path / "texts.csv"))
    described, held_out = brought.model.described, brought.model.held_out
    assert (described.record.objective, described.record.target_name, described.labels) == ("regression", "value", ())
    assert any("taken for a regression" in note for note in brought.notes)
    scale = described.scale(held_out)
    assert scale.words == "of the answers' spread"
    assert scale.unit == pytest.approx(np.std([one.outputs[0] for one in held_out]))
    named = opened(directory, write_sentences(tmp_path / "more.csv"), objective="multi-label", labels=("toxic",))
    assert (named.model.described.labels, list(named.notes)) == (("toxic",), [])


def test_labels_without_names_are_told_and_can_be_given(tmp_path: Path) -> None:
    names = tuple(f"LABEL_{index}" for index in range(3))
    directory = TEXT_FAMILIES["BERT"].write(tmp_path / "bert", labels=names)
    inputs = write_sentences(tmp_path / "texts.csv")
    brought = opened(directory, inputs)
    assert brought.model.described.labels == names
    assert any("give them with --labels" in note for note in brought.notes)
    assert opened(directory, inputs, labels=("a", "b", "c")).model.described.labels == ("a", "b", "c")


PROCESSORS: dict[str, tuple[dict[str, Any], str]] = {
    "padding": ({"do_pad": True}, "do_pad pads images"),
    "BGR": ({"do_flip_channel_order": True}, "reads blue before red"),
    "no resizing": ({"do_resize": False}, "do_resize is false"),
    "cut larger": ({"size": {"shortest_edge": 16}, "do_center_crop": True, "crop_size": 32}, "would be padded"),
    "another size": ({"size": {"height": 48, "width": 48}}, "has another size than the model"),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_that_cannot_be_followed_is_refused(name: str, kept: Path, tmp_path: Path) -> None:
    changes, told = PROCESSORS[name]
    directory = Path(shutil.copytree(kept / "vit", tmp_path / "vit"))
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")
    with pytest.raises(UsageError, match=told):
        opened(directory, write_pictures(tmp_path / "pictures", 2))


def test_grey_models_missing_processors_and_empty_folders_are_refused(kept: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 1)
    directory = Path(shutil.copytree(kept / "vit", tmp_path / "vit"))
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="has no images: give a folder"):
        opened(directory, tmp_path / "none")
    with pytest.raises(UsageError, match="--max-tokens is for models of texts"):
        opened(directory, pictures, max_tokens=64)
    (directory / "preprocessor_config.json").unlink()
    with pytest.raises(UsageError, match=r"has no preprocessor_config\.json"):
        opened(directory, pictures)
    configured(num_channels=1)(directory)
    shutil.copyfile(kept / "vit" / "preprocessor_config.json", directory / "preprocessor_config.json")
    with pytest.raises(UsageError, match="reads images of 1 channels"):
        opened(directory, pictures)


def test_images_are_given_by_a_folder_for_each_label_or_by_paths(kept: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 4)
    for index, path in enumerate(sorted(pictures.iterdir())):
        (pictures / LABELS[index % 2]).mkdir(exist_ok=True)
        path.rename(pictures / LABELS[index % 2] / path.name)
    assert sorted(opened(kept / "vit", pictures).labels) == sorted([LABELS[0], LABELS[0], LABELS[1], LABELS[1]])
    listed = tmp_path / "rows.csv"
    names = [str(path.relative_to(tmp_path)) for path in sorted(pictures.rglob("*.png"))]
    listed.write_text("".join(f"{line}\n" for line in ["photo,label", *(f'"{name}",2' for name in names)]), "utf-8")
    brought = opened(kept / "vit", listed, columns={"image": "photo"})
    assert list(brought.labels) == [LABELS[2]] * 4
    listed.write_text("image\ngone.png\n", "utf-8")
    with pytest.raises(UsageError, match=r"row 1: the image gone\.png is not there"):
        opened(kept / "vit", listed)


@pytest.mark.parametrize("path", ["gone", "a.doc"])
def test_what_no_source_knows_is_told(path: str, tmp_path: Path) -> None:
    (tmp_path / "a.doc").write_text("")
    with pytest.raises(ExplicateError, match=r"is not (there|a )"):
        source_of(tmp_path / path)
